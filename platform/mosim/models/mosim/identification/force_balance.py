"""The balance of forces as equations that are linear in everything an articulated predictor learns."""

from typing import NamedTuple

import torch
from torch import Tensor

from mosim.geometry import twist_matrices
from mosim.models.mosim.tree.articulated import ArticulatedPredictor, Mechanics
from mosim.models.mosim.tree.servos import NUMBERS as SERVO_NUMBERS

_ROWS, _COLUMNS = torch.triu_indices(4, 4)
_WEIGHTS = torch.where(_ROWS == _COLUMNS, 1.0, 2.0).double().sqrt()
"""By which entries are multiplied so that their squares add up to those of the whole symmetric matrix."""

MASS_UNKNOWNS = len(_ROWS)
"""Of each link: what is added to its pseudo-inertia in units of the guess, off-diagonal entries times the root of 2."""

ARMATURE, DAMPING, STIFFNESS, CONSTANT, FRICTION, GEAR = range(6)
"""Places of the unknowns of one degree of freedom; gears, of the controls that act on it, are the last."""


class Equations(NamedTuple):
    """`shared @ x + own @ y = -guess`: of each state and degree of freedom, in units of the latter's force.

    Attributes:
      shared: `(batch, nv, shared)`: coefficients of unknowns that several degrees of freedom share: what masses are
        more than the guess, ten a link, then the stiffness and the damping of tendons, the fluid's drag, and servos'.
      own: `(batch, nv, own)`: of the degree of freedom's own unknowns; of dry friction, as if it slid.
      guess: `(batch, nv)`: the force that the guess needs.
    """

    shared: Tensor
    own: Tensor
    guess: Tensor


class Unknowns(NamedTuple):
    """The unknowns of a balance by what they are of, in its order.

    Attributes:
      masses: `(carriers, 4, 4)`: what pseudo-inertias are more than the guess.
      tendons: `(2, tendons)`: stiffness and damping.
      drag: `(numbers,)`: of the fluid.
      servos: `(servos, numbers)`.
      own: `(nv, own)`: of each degree of freedom.
    """

    masses: Tensor
    tendons: Tensor
    drag: Tensor
    servos: Tensor
    own: Tensor


class ForceBalance:
    """What masses need for their acceleration is what springs, dampers and actuators give.

    Linear in the ten numbers of each link (Atkeson, An and Hollerbach, "Estimation of inertial parameters of
    manipulator loads and links", IJRR 1986), here in pseudo-inertias: the force that a link asks of a degree of freedom
    is the sum of products of its pseudo-inertia with one matrix of four rows. In armature, damping, stiffness, a
    constant and gears, in what tendons have of these and in a fluid's drag, it is linear anyway; in a servo's numbers,
    where it is known whether the servo is at a limit. Unknowns are in the units of the predictor's learned numbers.
    """

    def __init__(self, predictor: ArticulatedPredictor, lag: float | None = None) -> None:
        """`lag` is of servos that have no numbers yet, see `Servos.columns`."""
        self.predictor, self.lag = predictor, lag
        self.links, self.size = len(predictor.tree.motion.carriers), len(predictor.tree.scale)
        controls = predictor.actuation.controls.shape[-1] if predictor.actuation is not None else 0
        self.own = GEAR + controls
        friction = None if predictor.constraints is None else predictor.constraints.friction
        none = torch.zeros_like(predictor.tree.scale)
        self._rubs = none if friction is None else none.index_fill(0, friction.dofs, 1.0)
        self.trees, self.force_scale = predictor.tree.motion.trees, predictor.joints.force_scale
        self.masses, self.tendons = MASS_UNKNOWNS * self.links, len(predictor.joints.tendons)
        self.drag = 0 if predictor.fluid is None else predictor.fluid.log_strength.numel()
        self.servos = 0 if predictor.servos is None else predictor.servos.share.numel()
        self.shared = self.masses + 2 * self.tendons + self.drag + self.servos
        self.unknowns = self.shared + self.own * self.size

    def __call__(self, qpos: Tensor, qvel: Tensor, qacc: Tensor, damped: Tensor, control: Tensor) -> Equations:
        """The equations of states, all in double precision.

        Args:
          qpos: `(batch, nq)`.
          qvel: `(batch, nv)`.
          qacc: `(batch, nv)`: smooth accelerations.
          damped: `(batch, nv)`: the velocity that damping sees.
          control: `(batch, nu)`, in actuator units.
        """
        tree, joints, actuation = self.predictor.tree, self.predictor.joints, self.predictor.actuation
        placement = tree.motion(qpos)
        masses, guess = self._of_masses(placement, tree.motion.accelerations(placement, qvel, tree.gravity, qacc))
        own = qacc.new_zeros(*qacc.shape, self.own)
        own[..., ARMATURE] = tree.scale * qacc
        own[..., DAMPING] = joints.damping_scale * damped
        own[..., joints.springs, STIFFNESS] = joints.stiffness_scale * joints.coordinates(qpos)
        own[..., CONSTANT] = -joints.force_scale
        own[..., FRICTION] = joints.force_scale * self._rubs * qvel.sign()
        if actuation is not None:
            own[..., GEAR:] = -actuation.gathered(actuation.scale * control.unsqueeze(-2))
        pulls = [
            scale * part.unsqueeze(-2) * joints.tendons.mT / joints.force_scale.unsqueeze(-1)
            for scale, part in (
                (joints.tendon_stiffness_scale, joints.lengths(qpos)),
                (joints.tendon_damping_scale, qvel @ joints.tendons.mT),  # Damping of tendons is never implicit.
            )
        ]
        if (fluid := self.predictor.fluid) is not None:
            scale = fluid.strength_scale / joints.force_scale.unsqueeze(-1)
            pulls.append(fluid.columns(placement, qvel) * scale)
        if (servos := self.predictor.servos) is not None:
            pulls.append(self._of_servos(servos.columns(qpos, qvel, control, self.lag), damped - qvel))
        return Equations(torch.cat([masses, *pulls], dim=-1), own / joints.force_scale.unsqueeze(-1), guess)

    def of_servo_damping(self, qpos: Tensor, qvel: Tensor, gained: Tensor, control: Tensor) -> Tensor:
        """Of the shared unknowns, `(batch, nv, shared)`, what servos' damping alone makes of a velocity gained.

        Zero unless the step takes it implicitly. The other arguments, as above, say where servos are at a limit.
        """
        found = qvel.new_zeros(*qvel.shape, self.shared)
        servos = self.predictor.servos
        if servos is not None and servos.implicit:
            columns = servos.columns(qpos, qvel, control, self.lag)
            more, none = self._of_servos(columns, gained), self._of_servos(columns, torch.zeros_like(gained))
            found[..., self.shared - self.servos :] = more - none
        return found

    def _of_servos(self, columns: Tensor, gained: Tensor) -> Tensor:
        """Coefficients, `(batch, nv, servos * numbers)`; arguments as `Servos.generalised`."""
        servos = self.predictor.servos
        if servos is None:
            return columns.new_zeros(*gained.shape, 0)
        forces = servos.generalised(columns, gained) * servos.scale
        return -(forces / self.force_scale[:, None, None]).flatten(-2)

    def of_inertia(self, qpos: Tensor, qacc: Tensor) -> Equations:
        """The same of `M(q) qacc` alone."""
        tree = self.predictor.tree
        placement = tree.motion(qpos)
        still, none = torch.zeros_like(qacc), torch.zeros_like(tree.gravity)
        masses, guess = self._of_masses(placement, tree.motion.accelerations(placement, still, none, qacc))
        own = qacc.new_zeros(*qacc.shape, self.own)
        own[..., ARMATURE] = tree.scale * qacc / self.predictor.joints.force_scale
        none = qacc.new_zeros(*qacc.shape, self.shared - self.masses)
        return Equations(torch.cat([masses, none], dim=-1), own, guess)

    def mechanics(self, unknowns: Tensor) -> Mechanics:
        """What unknowns, `(unknowns,)`, masses first, stand for; not necessarily physical."""
        tree, joints, actuation = self.predictor.tree, self.predictor.joints, self.predictor.actuation
        more, tendons, drag, servos, own = self.split(unknowns)
        identity = torch.eye(4, dtype=more.dtype)
        none = own[:, GEAR:]
        return Mechanics(
            pseudo_inertia=tree.guess @ (identity + more) @ tree.guess.mT,
            armature=own[:, ARMATURE] * tree.scale,
            damping=own[:, DAMPING] * joints.damping_scale,
            constant=own[:, CONSTANT] * joints.force_scale,
            stiffness=own[joints.springs, STIFFNESS] * joints.stiffness_scale,
            gear=none if actuation is None else actuation.spread_out(none) * actuation.scale,
            tendon_stiffness=tendons[0] * joints.tendon_stiffness_scale,
            tendon_damping=tendons[1] * joints.tendon_damping_scale,
            drag=drag if self.predictor.fluid is None else drag * self.predictor.fluid.strength_scale,
            dry_friction=own[:, FRICTION] * joints.force_scale,
            servos=servos if self.predictor.servos is None else servos * self.predictor.servos.scale,
        )

    def learned(self) -> Tensor:
        """The unknowns that the predictor has, `(unknowns,)`."""
        return self.unknowns_of(self.predictor.mechanics())

    def unknowns_of(self, mechanics: Mechanics) -> Tensor:
        """The reverse of `mechanics`."""
        tree, joints, actuation = self.predictor.tree, self.predictor.joints, self.predictor.actuation
        into_units = torch.linalg.inv(tree.guess)
        more = into_units @ mechanics.pseudo_inertia @ into_units.mT - torch.eye(4).to(into_units)
        own = [
            mechanics.armature / tree.scale,
            mechanics.damping / joints.damping_scale,
            torch.zeros_like(tree.scale).index_copy(0, joints.springs, mechanics.stiffness / joints.stiffness_scale),
            mechanics.constant / joints.force_scale,
            mechanics.dry_friction / joints.force_scale,
            *([] if actuation is None else actuation.gathered(mechanics.gear / actuation.scale).unbind(-1)),
        ]
        tendons = torch.stack([
            mechanics.tendon_stiffness / joints.tendon_stiffness_scale,
            mechanics.tendon_damping / joints.tendon_damping_scale,
        ])  # fmt: skip
        drag = mechanics.drag if self.predictor.fluid is None else mechanics.drag / self.predictor.fluid.strength_scale
        servos = mechanics.servos
        if self.predictor.servos is not None:
            servos = servos / self.predictor.servos.scale
        return self.join(Unknowns(more, tendons, drag, servos, torch.stack(own, dim=-1)))

    def split(self, unknowns: Tensor) -> Unknowns:
        """The unknowns, `(unknowns,)`, by what they are of."""
        sizes = [self.masses, 2 * self.tendons, self.drag, self.servos, self.own * self.size]
        masses, tendons, drag, servos, own = unknowns.split(sizes)
        return Unknowns(
            self.split_masses(masses),
            tendons.view(2, -1),
            drag,
            servos.view(-1, SERVO_NUMBERS),
            own.view(self.size, self.own),
        )

    @staticmethod
    def split_masses(masses: Tensor) -> Tensor:
        """The symmetric matrices, `(links, 4, 4)`, of the unknowns of masses, `(10 * links,)`."""
        entries = masses.unflatten(0, (-1, MASS_UNKNOWNS)) / _WEIGHTS.to(masses)
        more = masses.new_zeros(len(entries), 4, 4)
        more[:, _ROWS, _COLUMNS] = entries
        more[:, _COLUMNS, _ROWS] = entries
        return more

    def join(self, unknowns: Unknowns) -> Tensor:
        """The reverse of `split`."""
        masses, *others = unknowns
        return torch.cat([self.join_masses(masses).flatten(), *(part.flatten() for part in others)])

    @staticmethod
    def join_masses(more: Tensor) -> Tensor:
        """The reverse of `split_masses`: `(links, 10)`."""
        return more[:, _ROWS, _COLUMNS] * _WEIGHTS.to(more)

    def _of_masses(self, placement, accelerations: Tensor) -> tuple[Tensor, Tensor]:
        tree = self.predictor.tree
        half = placement.frames @ tree.guess
        moved = twist_matrices(placement.screws).unsqueeze(-3) @ half.unsqueeze(-4)
        each = moved.mT @ (accelerations @ half).unsqueeze(-4)
        each = each * (tree.motion.moves.mT / self.predictor.joints.force_scale.unsqueeze(-1))[..., None, None]
        twice = each[..., _ROWS, _COLUMNS] + each[..., _COLUMNS, _ROWS]
        return (twice * (_WEIGHTS.to(each) / 2)).flatten(-2), each.diagonal(dim1=-2, dim2=-1).sum((-2, -1))
