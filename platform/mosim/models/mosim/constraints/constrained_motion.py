"""Constraint forces: soft contacts, limits, couplings and dry friction, along directions that the geometry gives.

The smooth acceleration `a0 = M(q) [b(q, v) + tau(u)]` becomes the one that minimises

    1/2 |a - a0|^2 in the metric of the inertia  +  1/2 sum_r D_r min(0, J_r a - a_r)^2,    a_r = -B_r J_r v - K_r d_r

over the rows of closed contacts (edges of a friction pyramid each) and of joints beyond their limits; of couplings,
which pull as well, so that all that they miss counts; and of dry friction, which holds up to a strength. This is the
convex contact model that MuJoCo solves (Todorov, "Convex and analytically-invertible dynamics with contacts and
constraints", ICRA 2014). The distances `d` and Jacobians `J` follow from the geometry; the inverse inertia `M`, the
stiffness `K`, the damping `B`, the impedance `D` and the friction are learned. Joint damping that the step takes
implicitly, `v' = v + h (M^-1 + h C)^-1 M^-1 a`, is the predictor's.
"""

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo  # torch.compiler.disable loads the compiler at once: seconds at every start.

from mosim.geometry import buffer, index_buffer, sum_matrix
from mosim.models.mosim.config import ConstraintsConfig, NeuralSimulatorConfig
from mosim.models.mosim.constraints import active_set, constraint_forces
from mosim.models.mosim.constraints.compliance import FRICTION, Compliance, Impedances
from mosim.models.mosim.constraints.contact_motion import ContactMotion
from mosim.models.mosim.constraints.limit_motion import LimitMotion
from mosim.models.mosim.constraints.rows import Rows
from mosim.models.mosim.tree.mass_tree import InverseWeights
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_FRICTION = 0.1
"""Strength of dry friction before training, over the force that accelerates as the data do."""


class Constraints(nn.Module):
    """The accelerations that contacts, limits, couplings and dry friction leave of the smooth ones.

    Attributes:
      contacts, limits, couplings, friction: None where there are none.
      size: rows of the constraint's Jacobian at most; 0 where there is nothing of these, and nothing is changed.
    """

    def __init__(self, facts: SystemFacts, config: ConstraintsConfig, statistics: Statistics) -> None:
        super().__init__()
        self._searches = config.searches
        most = config.contacts if statistics.most_contacts > 0 else 0
        self.contacts = ContactRows(facts, statistics, most) if most else None
        limited = any(joint.limited and joint.kind in ("slide", "hinge") for joint in facts.joints)
        self.limits = LimitRows(facts, statistics) if limited else None
        self.couplings = CouplingRows(facts, statistics) if facts.skeleton.couplings else None
        rubs = any(joint.dry_friction for joint in facts.joints)
        self.friction = DryFrictionRows(facts, statistics) if rubs else None
        self.size = sum(part.size for part in self.parts)

    @property
    def parts(self) -> "list[ConstraintRows]":
        """Those that there are: contacts, limits, couplings, dry friction."""
        parts = (self.contacts, self.limits, self.couplings, self.friction)
        return [part for part in parts if part is not None]

    def forward(
        self, qpos: Tensor, qvel: Tensor, lower: Tensor, force: Tensor, damping: Tensor | None = None
    ) -> Tensor:
        """Accelerations, `(..., nv)`, in units of their standard deviation.

        Args:
          qpos: raw, `(..., nq)`.
          qvel: raw, `(..., nv)`.
          lower: `L`, `(..., nv, nv)`: the inverse inertia is `L L^T` in units of the accelerations' standard deviation.
          force: `b(q, v) + tau(u)`, `(..., nv)`.
          damping: `h C`, `(nv,)`, that the step takes implicitly, not negative; None where there is none.
        """
        if torch.compiler.is_compiling():
            return _uncompiled(self, qpos, qvel, lower, force, damping)
        return self._accelerations(qpos, qvel, lower, force, damping)

    def _accelerations(
        self, qpos: Tensor, qvel: Tensor, lower: Tensor, force: Tensor, damping: Tensor | None
    ) -> Tensor:
        batch = qpos.shape[:-1]
        qpos, qvel, force = (part.reshape(batch.numel(), part.shape[-1]) for part in (qpos, qvel, force))
        lower = lower.reshape(len(qpos), *lower.shape[-2:])
        rows = [part(qpos, qvel) for part in self.parts]
        forces = constraint_forces if constraint_forces.takes(lower) else active_set
        return forces.accelerations(lower, force, rows, damping, self._searches).reshape(*batch, qvel.shape[-1])


@_disable_dynamo
def _uncompiled(
    constraints: Constraints, qpos: Tensor, qvel: Tensor, lower: Tensor, force: Tensor, damping: Tensor | None
) -> Tensor:
    # How many rows there are depends on the states: compiled, this would be compiled anew for every batch.
    return constraints._accelerations(qpos, qvel, lower, force, damping)


def constraints_of(facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> Constraints | None:
    """The constraints that a model asks for; None where it asks for none, or nothing can touch or reach a limit."""
    if config.constraints is None:
        return None
    constraints = Constraints(facts, config.constraints, statistics)
    return constraints if constraints.size else None


def _pyramid(friction: Tensor) -> Tensor:
    """By how much softer than the normal alone MuJoCo makes the edges of a friction pyramid, of its shape."""
    square = friction.square()
    return torch.where(friction > 0, 2 * square * (1 + square), 4.0)


class LimitRows(nn.Module):
    """Joints beyond their limits: one row each."""

    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        self._motion = LimitMotion(facts, statistics.acceleration_std)
        response = statistics.acceleration_std[self._motion.dofs].square()
        self.register_buffer("_response", response, persistent=False)
        self.size, self._size = self._motion.size, facts.nv
        self.compliance = Compliance(self.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(limits,)`, by MuJoCo's rule."""
        return self._response / inverse.dofs[self._motion.dofs]

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Which limits act: of each the index in the batch, and which limit it is, `(n,)`."""
        reached = self._motion(qpos, qpos.new_zeros(len(qpos), self._size))
        return reached.sample, reached.which

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which, depth, jacobian, speed = self._motion(qpos, qvel)
        numbers = self.compliance(sample, which)
        stiffness, target = numbers.at(depth)
        target = target - numbers.damping * speed
        stiffness = stiffness / self._response[which]
        return Rows(sample, jacobian.unsqueeze(1), target.unsqueeze(1), stiffness.unsqueeze(1))


class ContactRows(nn.Module):
    """The deepest contacts: the edges of a friction pyramid each, four, or of a planar robot three."""

    _response: Tensor
    _sides: Tensor
    _share: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, most: int) -> None:
        super().__init__()
        self._motion = ContactMotion(facts, statistics.acceleration_std, most)
        # A gap that never opens wide enough to be seen moving has no response; it is given the median.
        response = statistics.contact_response
        response = torch.where(response > 0, response, response.median().clamp_min(1e-6))
        self.register_buffer("_response", response, persistent=False)
        # An edge is the normal and a share of each direction of friction. A planar robot's motion knows but one
        # direction of friction, so two of its edges are the normal alone: one of twice the stiffness.
        self.planar = self._motion.planar
        sides = [[1.0], [-1.0], [0.0]] if self.planar else [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
        self.register_buffer("_sides", torch.tensor(sides), persistent=False)
        self.register_buffer("_share", torch.tensor([1.0, 1.0, 2.0] if self.planar else [1.0] * 4), persistent=False)
        self.size, self._size = len(sides) * most, facts.nv
        self.compliance = Compliance(self._motion.gaps.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(gaps,)`, by MuJoCo's rule."""
        gaps = self._motion.gaps
        return self._response / (inverse.links[gaps.first] + inverse.links[gaps.second])

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Which gaps are closed: of each the index in the batch, and which gap it is, `(n,)`."""
        closed = self._motion(qpos, qpos.new_zeros(len(qpos), self._size))
        return closed.sample, closed.which

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which, distance, jacobian, speed = self._motion(qpos, qvel)
        numbers = self.compliance(sample, which)
        friction = (self._motion.gaps.friction[which] * numbers.friction).unsqueeze(-1)
        jacobian = jacobian[:, :1] + friction.unsqueeze(-1) * (self._sides @ jacobian[:, 1:])
        speed = speed[:, :1] + friction * (speed[:, 1:] @ self._sides.mT)
        stiffness, target = numbers.at(-distance)
        target = target.unsqueeze(-1) - numbers.damping.unsqueeze(-1) * speed
        stiffness = (stiffness / self._response[which]).unsqueeze(-1) / _pyramid(friction) * self._share
        return Rows(sample, jacobian, target, stiffness)


class CouplingRows(nn.Module):
    """Couplings of joints, by equality constraints: one row each, which always acts and pulls as well as it pushes."""

    _positions: Tensor
    _velocities: Tensor
    _values: Tensor
    _jacobian: Tensor
    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        couplings, links = facts.skeleton.couplings, facts.skeleton.links
        velocities = sum_matrix(couplings, [link.dof_address for link in links], facts.nv)
        buffer(self, "_positions", sum_matrix(couplings, [link.qpos_address for link in links], facts.nq))
        buffer(self, "_velocities", velocities)
        buffer(self, "_values", [coupling.value for coupling in couplings])
        jacobian = self._velocities * statistics.acceleration_std
        self.register_buffer("_jacobian", jacobian, persistent=False)
        self.register_buffer("_response", jacobian.square().sum(-1), persistent=False)
        self.size = len(couplings)
        self.compliance = Compliance(self.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(couplings,)`, by MuJoCo's rule for tendons."""
        velocities = self._velocities.to(inverse.inverse)
        return self._response / ((velocities @ inverse.inverse) * velocities).sum(-1)

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """All, in every state: of each the index in the batch, and which coupling it is, `(n,)`."""
        return _all_in_every_state(self.size, qpos)

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which = self.acting(qpos)
        error = (qpos @ self._positions.mT - self._values).flatten()
        speed = (qvel @ self._velocities.mT).flatten()
        numbers = self.compliance(sample, which)
        stiffness, pull = numbers.at(error.abs())
        target = -error.sign() * pull - numbers.damping * speed
        stiffness = (stiffness / self._response[which]).unsqueeze(1)
        strength = torch.full_like(stiffness, torch.inf)
        return Rows(sample, self._jacobian[which].unsqueeze(1), target.unsqueeze(1), stiffness, strength)


class DryFrictionRows(nn.Module):
    """Dry friction at joints: one row for each degree of freedom, which holds it up to a strength.

    Attributes:
      dofs: `(size,)`: the degrees of freedom.
      scale: `(size,)`: of strengths, in newtons or newton metres; each is a scale times the friction of `compliance`.
    """

    dofs: Tensor
    scale: Tensor
    _jacobian: Tensor
    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        index_buffer(self, "dofs", [dof for joint in facts.joints if joint.dry_friction for dof in joint.dofs])
        unit = statistics.acceleration_std[self.dofs]
        self.register_buffer("scale", _FRICTION / unit, persistent=False)
        self.register_buffer("_jacobian", torch.diag(statistics.acceleration_std)[self.dofs], persistent=False)
        self.register_buffer("_response", unit.square(), persistent=False)
        self.size = len(self.dofs)
        self.compliance = Compliance(self.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(size,)`, by MuJoCo's rule."""
        return self._response / inverse.dofs[self.dofs]

    @property
    def strength(self) -> Tensor:
        """How hard each holds, `(size,)`, in newtons or newton metres."""
        return self.scale * Impedances.of(self.compliance.learned()).friction

    @torch.no_grad()
    def set_strength(self, strength: Tensor) -> None:
        """Makes positive numbers, `(size,)`, the learned ones."""
        shared = self.compliance.shared[FRICTION]
        self.compliance.own[:, FRICTION] = (strength / self.scale).log() - shared

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """All, in every state: of each the index in the batch, and which it is, `(n,)`."""
        return _all_in_every_state(self.size, qpos)

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which = self.acting(qpos)
        speed = qvel[:, self.dofs].flatten()
        numbers = self.compliance(sample, which)
        stiffness, _ = numbers.at(torch.zeros_like(speed))
        parts = (-numbers.damping * speed, stiffness / self._response[which], self.scale[which] * numbers.friction)
        target, stiffness, strength = (part.unsqueeze(1) for part in parts)
        return Rows(sample, self._jacobian[which].unsqueeze(1), target, stiffness, strength)


ConstraintRows = ContactRows | LimitRows | CouplingRows | DryFrictionRows


def _all_in_every_state(size: int, qpos: Tensor) -> tuple[Tensor, Tensor]:
    states, rows = (torch.arange(count, device=qpos.device) for count in (len(qpos), size))
    return states.repeat_interleave(size), rows.repeat(len(qpos))
