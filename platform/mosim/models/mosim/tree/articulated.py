"""The predictor that knows its robot is a tree of masses: `M(q)^-1 [forces - bias(q, v)]`, every number learned."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mosim.core.shapes import Action, Qpos, Qvel
from mosim.models.mosim.config import NeuralSimulatorConfig
from mosim.models.mosim.constraints.constrained_motion import constraints_of
from mosim.models.mosim.constraints.dry_friction_rows import DryFrictionRows
from mosim.models.mosim.tree import spatial_inertia
from mosim.models.mosim.tree.actuation import Actuation
from mosim.models.mosim.tree.fluid_drag import FluidDrag
from mosim.models.mosim.tree.joint_forces import JointForces
from mosim.models.mosim.tree.mass_tree import SMALLEST_SHARE, MassTree
from mosim.models.mosim.tree.servos import NUMBERS, Servos
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class Mechanics(NamedTuple):
    """What is learned of a robot, in SI units and in MuJoCo's words.

    Attributes:
      pseudo_inertia: `(carriers, 4, 4)`: of the links that carry bodies, in their own frames; see `spatial_inertia`.
      armature, damping, constant: `(nv,)`.
      stiffness: `(springs,)`: of hinges and slides, in the order of the joints.
      gear: `(nv, nu)`: generalised force of a unit of control.
      tendon_stiffness, tendon_damping: `(tendons,)`: of fixed tendons.
      drag: `(numbers,)`: of the fluid, see `FluidDrag`; none without one.
      dry_friction: `(nv,)`: by which each degree of freedom is held; zero without constraints.
      servos: `(servos, numbers)`: see `Servos`.
    """

    pseudo_inertia: Tensor
    armature: Tensor
    damping: Tensor
    constant: Tensor
    stiffness: Tensor
    gear: Tensor
    tendon_stiffness: Tensor
    tendon_damping: Tensor
    drag: Tensor
    dry_friction: Tensor
    servos: Tensor


class ArticulatedPredictor(nn.Module):
    """Accelerations of a tree of masses on the robot's drawing, or what constraints leave of them.

    Computed in double precision up to the constraints, whatever the states': inertia matrices have conditions of up to
    a million, and in single precision one free step of humanoid is a thousand times less exact (mean square).

    Attributes:
      tree: masses and armature.
      joints: damping, springs and constant forces.
      actuation: what controls do; None where there are none.
      servos: what those do whose force is limited; None where there are none.
      fluid: what drags bodies; None where there is no fluid.
      constraints: contacts, limits and couplings; None where there are none, or the config wants none.
    """

    bounded = False
    """Structure says what lies beyond the data, so predictions need no bounds."""

    _acceleration_std: Tensor
    _implicit: Tensor

    def __init__(self, facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> None:
        super().__init__()
        self.constraints = constraints_of(facts, config, statistics)
        self.tree = MassTree(facts)
        self.joints = JointForces(facts, statistics, self.tree.scale)
        self.actuation = Actuation(facts, self.joints.force_scale) if facts.nu else None
        self.servos = Servos(facts, statistics, self.joints.force_scale) if facts.servos else None
        self.fluid = None
        if facts.wind is not None:
            given = self.tree.motion, facts.wind, self.tree.scale.new_zeros(facts.nq), self.joints.force_scale
            self.fluid = FluidDrag(facts.skeleton, *given, statistics)
        if (friction := self._friction) is not None:
            friction.scale.copy_(self.joints.force_scale[friction.dofs])
        # MuJoCo's RK4 takes damping as it takes every force; its other integrators take it at the end of the step.
        self.implicit_timestep = facts.timestep if facts.integrator != "RK4" else 0.0
        implicit = self.implicit_timestep * statistics.acceleration_std.double().square()
        self.register_buffer("_implicit", implicit, persistent=False)
        self.register_buffer("_acceleration_std", statistics.acceleration_std.clone(), persistent=False)

    @property
    def constrained(self) -> bool:
        """Whether constraints act in this system."""
        return self.constraints is not None

    @property
    def _friction(self) -> DryFrictionRows | None:
        return None if self.constraints is None else self.constraints.friction

    @property
    def dry_friction(self) -> Tensor:
        """See `Mechanics`."""
        none = torch.zeros_like(self.tree.scale)
        friction = self._friction
        return none if friction is None else none.index_copy(0, friction.dofs, friction.strength.to(none))

    def applied_force(self, qpos: Qpos, qvel: Qvel, action: Action) -> Tensor:
        """All smooth forces but the bias and a fluid's, `(..., nv)`; SI units, double.

        Args:
          qpos: raw, `(..., nq)`.
          qvel: raw, `(..., nv)`.
          action: scaled to [-1, 1], `(..., nu)`.
        """
        given = [qpos, qvel] if self.actuation is None else [qpos, qvel, action]
        matrix, constant = self.joints.matrix, self.joints.constant
        if self.actuation is not None:
            matrix, constant = torch.cat([matrix, self.actuation.matrix]), constant + self.actuation.constant
        force = torch.cat(given, dim=-1).to(matrix.dtype) @ matrix + constant
        return force if self.servos is None else force + self.servos(qpos, qvel, action)

    def implicit_damping(self, qpos: Qpos, qvel: Qvel, action: Action) -> Tensor | None:
        """`h C`, in SI units, double, that the step takes implicitly; None where there is none.

        `(nv, nv)`, or `(..., nv, nv)` where it depends on the state; arguments as above.
        """
        if not self.implicit_timestep:
            return None
        of_joints = torch.diag(self.implicit_timestep * self.joints.damping)
        if self.servos is None or not self.servos.implicit:
            return of_joints
        return of_joints + self.servos.implicit_damping(qpos, qvel, action)

    def factor_and_bias(
        self, qpos: Tensor, qvel: Tensor, unit: Tensor, armature: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `MassTree`: with the fluid's drag."""
        return self.tree.factor_and_bias(qpos, qvel, unit, armature, self.fluid)

    def smooth_acceleration(self, qpos: Qpos, qvel: Qvel, action: Action) -> Tensor:
        """Accelerations without constraints but dry friction, as if all slid, `(..., nv)`; SI units, double.

        Arguments as above.
        """
        qpos, qvel = qpos.to(self.tree.guess.dtype), qvel.to(self.tree.guess.dtype)
        damping = None
        if self.implicit_timestep and not self._changing_damping:
            damping = self.implicit_timestep * self.joints.damping
        lower, bias = self.factor_and_bias(qpos, qvel, torch.ones_like(self.tree.scale), damping)
        force = self.applied_force(qpos, qvel, action) - bias
        if self._friction is not None:
            force = force - self.dry_friction * qvel.sign()
        rates = (lower @ (lower.mT @ force.unsqueeze(-1))).squeeze(-1)
        return self._damped(rates, lower, qpos, qvel, action) if self._changing_damping else rates

    def forward(self, qpos: Qpos, qvel: Qvel, velocity: Qvel, action: Action) -> Qvel:
        """See `RigidBodyPredictor`."""
        del velocity
        std = self._acceleration_std
        if self.constraints is None:
            return self.smooth_acceleration(qpos, qvel, action).to(qpos) / std
        lower, bias = self.factor_and_bias(qpos, qvel, std)
        force = self.applied_force(qpos, qvel, action) - bias
        damping = None
        if self.implicit_timestep and not self._changing_damping:
            damping = (self.joints.damping * self._implicit).to(qpos)
        rates = self.constraints(qpos, qvel, lower, (force * std).to(qpos), damping)
        if not self._changing_damping:
            return rates
        # In SI units, the inverse inertia's factor is `std * lower`.
        whole = self._damped((rates * std).double(), std.double().unsqueeze(-1) * lower.double(), qpos, qvel, action)
        return (whole / std).to(qpos)

    @property
    def _changing_damping(self) -> bool:
        """Whether what the step takes implicitly depends on the state."""
        return self.servos is not None and self.servos.implicit > 0

    def _damped(self, rates: Tensor, lower: Tensor, qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
        """`(M + h C)^-1 M rates`, with `lower` the factor of `M^-1`; SI units."""
        matrix = torch.eye(len(self.tree.scale)).to(rates)
        if (resistance := self.implicit_damping(qpos, qvel, action)) is not None:
            matrix = matrix + lower @ (lower.mT @ resistance)
        return torch.linalg.solve(matrix, rates.unsqueeze(-1)).squeeze(-1)

    def mechanics(self) -> Mechanics:
        """What is learned, in SI units."""
        none = self.tree.scale.new_zeros(len(self.tree.scale), 0)
        return Mechanics(
            pseudo_inertia=self.tree.pseudo_inertia,
            armature=self.tree.armature,
            damping=self.joints.damping,
            constant=self.joints.constant,
            stiffness=self.joints.stiffness,
            gear=none if self.actuation is None else self.actuation.gear,
            tendon_stiffness=self.joints.tendon_stiffness,
            tendon_damping=self.joints.tendon_damping,
            drag=none.new_zeros(0) if self.fluid is None else self.fluid.strength,
            dry_friction=self.dry_friction,
            servos=none.new_zeros(0, NUMBERS) if self.servos is None else self.servos.numbers,
        )

    @torch.no_grad()
    def assign(self, mechanics: Mechanics) -> None:
        """Makes these numbers the learned ones; those that cannot be negative are at least `SMALLEST_SHARE` of a scale.

        Raises:
          torch.linalg.LinAlgError: a pseudo-inertia is not positive definite.
        """
        into_units = torch.linalg.inv(self.tree.guess)
        inertia = into_units @ mechanics.pseudo_inertia.to(into_units) @ into_units.mT
        self.tree.inertia.copy_(spatial_inertia.parameters_of(inertia))
        drag = () if self.fluid is None else ((self.fluid.log_strength, mechanics.drag, self.fluid.strength_scale),)
        for weight, value, scale in (
            *drag,
            (self.tree.log_armature, mechanics.armature, self.tree.scale),
            (self.joints.log_damping, mechanics.damping, self.joints.damping_scale),
            (self.joints.log_stiffness, mechanics.stiffness, self.joints.stiffness_scale),
            (self.joints.log_tendon_stiffness, mechanics.tendon_stiffness, self.joints.tendon_stiffness_scale),
            (self.joints.log_tendon_damping, mechanics.tendon_damping, self.joints.tendon_damping_scale),
        ):
            weight.copy_((value.to(scale) / scale).clamp_min(SMALLEST_SHARE).log())
        if (friction := self._friction) is not None:
            strength = mechanics.dry_friction[friction.dofs].to(friction.scale)
            friction.set_strength(strength.clamp_min(SMALLEST_SHARE * friction.scale))
        self.joints.constant_share.copy_(mechanics.constant / self.joints.force_scale)
        if self.actuation is not None:
            self.actuation.gear_share.copy_(self.actuation.gathered(mechanics.gear / self.actuation.scale))
        if self.servos is not None:
            self.servos.share.copy_(mechanics.servos / self.servos.scale)
