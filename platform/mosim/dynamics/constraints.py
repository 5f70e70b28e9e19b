"""Constraint forces: soft contacts and joint limits, along directions that the robot's geometry gives.

The smooth acceleration `a0 = M(q) [b(q, v) + tau(u)]` becomes the one that minimises

    1/2 |a - a0|^2 in the metric of the inertia  +  1/2 sum_r D_r min(0, J_r a - a_r)^2,    a_r = -B_r J_r v - K_r d_r

over the rows of closed contacts (edges of a friction pyramid each) and of joints beyond their limits. This is the
convex contact model that MuJoCo solves (Todorov, "Convex and analytically-invertible dynamics with contacts and
constraints", ICRA 2014). The distances `d` and Jacobians `J` follow from the geometry; the inverse inertia `M`, the
stiffness `K`, the damping `B`, the impedance `D` and the friction are learned. Joint damping that the step takes
implicitly, `v' = v + h (M^-1 + h C)^-1 M^-1 a`, is the predictor's.
"""

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo  # torch.compiler.disable loads the compiler at once: seconds at every start.

from mosim.dynamics import active_set, constraint_forces
from mosim.dynamics.compliance import Compliance
from mosim.dynamics.config import ConstraintsConfig, ModelConfig
from mosim.dynamics.rows import Rows, rank_within
from mosim.dynamics.statistics import Statistics
from mosim.systems import ContactGaps, Gaps, Jacobians, Kinematics, SystemFacts, contact_frames

_PROBED = 64
"""Random poses in which a robot's directions of friction are looked at."""

_ALIGNED = 1e-5
"""Cosines below this are of directions at right angles."""


class Constraints(nn.Module):
    """The accelerations that contacts and limits leave of the smooth ones.

    Attributes:
      size: rows of the constraint's Jacobian at most; 0 where nothing touches and no joint is limited, and nothing is
        changed.
    """

    def __init__(self, facts: SystemFacts, config: ConstraintsConfig, statistics: Statistics) -> None:
        super().__init__()
        self._searches = config.searches
        most = config.contacts if statistics.most_contacts > 0 else 0
        self.contacts = ContactRows(facts, statistics, most) if most else None
        limited = any(joint.limited and joint.kind in ("slide", "hinge") for joint in facts.joints)
        self.limits = LimitRows(facts, statistics) if limited else None
        self.size = sum(part.size for part in (self.contacts, self.limits) if part is not None)

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
        # Most states of a batch close few gaps, or none, so only closed ones are worked out.
        rows = [part(qpos, qvel) for part in (self.contacts, self.limits) if part is not None]
        forces = constraint_forces if constraint_forces.takes(lower) else active_set
        return forces.accelerations(lower, force, rows, damping, self._searches).reshape(*batch, qvel.shape[-1])


@_disable_dynamo
def _uncompiled(
    constraints: Constraints, qpos: Tensor, qvel: Tensor, lower: Tensor, force: Tensor, damping: Tensor | None
) -> Tensor:
    # How many rows there are depends on the states: compiled, this would be compiled anew for every batch.
    return constraints._accelerations(qpos, qvel, lower, force, damping)


def constraints_of(facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> Constraints | None:
    """The constraints that a model asks for; None where it asks for none, or nothing can touch or reach a limit."""
    if config.constraints is None:
        return None
    constraints = Constraints(facts, config.constraints, statistics)
    return constraints if constraints.size else None


def _pyramid(friction: Tensor) -> Tensor:
    """By how much softer than the normal alone MuJoCo makes the edges of a friction pyramid, `(n,)`."""
    square = friction.square()
    return torch.where(friction > 0, 2 * square * (1 + square), 4.0)


class LimitRows(nn.Module):
    """Joints beyond their limits: one row each."""

    _qpos: Tensor
    _dofs: Tensor
    _lower: Tensor
    _upper: Tensor
    _jacobian: Tensor
    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        limited = [joint for joint in facts.joints if joint.limited and joint.kind in ("slide", "hinge")]
        dofs = torch.tensor([joint.dof_address for joint in limited])
        addresses = torch.tensor([joint.qpos_address for joint in limited])
        self.register_buffer("_qpos", addresses, persistent=False)
        self.register_buffer("_dofs", dofs, persistent=False)
        self.register_buffer("_lower", torch.tensor([joint.lower for joint in limited]), persistent=False)
        self.register_buffer("_upper", torch.tensor([joint.upper for joint in limited]), persistent=False)
        self.register_buffer("_jacobian", torch.diag(statistics.acceleration_std)[dofs], persistent=False)
        self.register_buffer("_response", statistics.acceleration_std[dofs].square(), persistent=False)
        self.size = len(limited)
        self.compliance = Compliance(self.size)

    def weights(self, links: Tensor, dofs: Tensor) -> Tensor:
        """`W` over that before training, `(limits,)`, by MuJoCo's rule; see `MassTree.inverse_weights`."""
        del links
        return self._response / dofs[self._dofs]

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Which limits act: of each the index in the batch, and which limit it is, `(n,)`."""
        angle = qpos.index_select(-1, self._qpos)
        sample, joint = ((angle > self._upper) | (angle < self._lower)).nonzero().unbind(-1)
        return sample, joint

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        angle = qpos.index_select(-1, self._qpos)
        above, below = angle - self._upper, self._lower - angle
        sample, joint = (torch.maximum(above, below) > 0).nonzero().unbind(-1)
        above, below = above[sample, joint], below[sample, joint]
        depth = torch.maximum(above, below)
        # A row's direction is the one that leads back.
        back = torch.where(above > below, -1.0, 1.0)
        numbers = self.compliance(sample, joint)
        stiffness, target = numbers.at(depth)
        target = target - numbers.damping * back * qvel[sample, self._dofs[joint]]
        jacobian = back.unsqueeze(-1) * self._jacobian.index_select(0, joint)
        stiffness = stiffness / self._response[joint]
        return Rows(sample, jacobian.unsqueeze(1), target.unsqueeze(1), stiffness.unsqueeze(1))


class ContactRows(nn.Module):
    """The deepest contacts: the edges of a friction pyramid each, four, or of a planar robot three."""

    _kinematics: Kinematics
    _jacobians: Jacobians
    _gaps: ContactGaps
    _moved: Tensor
    _speed: Tensor
    _response: Tensor
    _across: Tensor
    _sides: Tensor
    _share: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, most: int) -> None:
        super().__init__()
        self._kinematics, self._jacobians = Kinematics(facts.skeleton), Jacobians(facts.skeleton)
        self._gaps = ContactGaps(facts.skeleton)
        moves = self._jacobians.moves
        moved = statistics.acceleration_std * (moves[self._gaps.first] - moves[self._gaps.second])
        self.register_buffer("_moved", moved.unsqueeze(1), persistent=False)
        self.register_buffer("_speed", 1 / statistics.acceleration_std, persistent=False)
        # A gap that never opens wide enough to be seen moving has no response; it is given the median.
        response = statistics.contact_response
        response = torch.where(response > 0, response, response.median().clamp_min(1e-6))
        self.register_buffer("_response", response, persistent=False)
        self._most = most
        across = self._planar()
        self.planar = across is not None
        # An edge is the normal and a share of each direction of friction. A planar robot's motion knows but one
        # direction of friction, so two of its edges are the normal alone: one of twice the stiffness.
        sides = [[1.0], [-1.0], [0.0]] if self.planar else [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
        self.register_buffer("_across", across if across is not None else torch.zeros(3), persistent=False)
        self.register_buffer("_sides", torch.tensor(sides), persistent=False)
        self.register_buffer("_share", torch.tensor([1.0, 1.0, 2.0] if self.planar else [1.0] * 4), persistent=False)
        self.size = len(sides) * most
        self.compliance = Compliance(self._gaps.size)

    def weights(self, links: Tensor, dofs: Tensor) -> Tensor:
        """`W` over that before training, `(gaps,)`, by MuJoCo's rule; see `MassTree.inverse_weights`."""
        del dofs
        return self._response / (links[self._gaps.first] + links[self._gaps.second])

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Which gaps are closed: of each the index in the batch, and which gap it is, `(n,)`."""
        return self._gaps.closed(self._kinematics.poses(qpos))

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        poses = self._kinematics.poses(qpos)
        sample, which = self._gaps.closed(poses)
        gaps = self._gaps.at(poses, sample, which)
        deepest = self._deepest(sample, gaps.distance, len(qpos))
        if deepest is not None:
            sample, which, gaps = sample[deepest], which[deepest], Gaps(*(part[deepest] for part in gaps))
        normal = gaps.normal.unsqueeze(-2)
        numbers = self.compliance(sample, which)
        friction = (self._gaps.friction[which] * numbers.friction)[:, None, None]
        if self.planar:
            sideways = torch.linalg.cross(self._across.expand_as(normal), normal)
        else:
            sideways = contact_frames(gaps.normal, gaps.tangent)[:, 1:]
        edges = normal + friction * (self._sides @ sideways)
        wrenches = torch.cat([torch.linalg.cross(gaps.position.unsqueeze(-2).expand_as(edges), edges), edges], dim=-1)
        screws = self._jacobians.screws(poses).index_select(0, sample)
        jacobian = (wrenches @ screws) * self._moved.index_select(0, which)
        stiffness, target = numbers.at(-gaps.distance)
        speed = (jacobian @ (qvel * self._speed).index_select(0, sample).unsqueeze(-1)).squeeze(-1)
        target = target.unsqueeze(-1) - numbers.damping.unsqueeze(-1) * speed
        stiffness = (stiffness / (self._response[which] * _pyramid(friction.flatten()))).unsqueeze(-1) * self._share
        return Rows(sample, jacobian, target, stiffness)

    def _planar(self) -> Tensor | None:
        """The direction in which neither the robot moves nor any contact pushes; None where there is no such."""
        still = self._jacobians.still_direction(self._kinematics)
        if still is None:
            return None
        random = torch.Generator().manual_seed(0)
        gaps = self._gaps(
            self._kinematics.poses(torch.randn(_PROBED, len(self._jacobians.moves) - 1, generator=random))
        )
        cosines = (contact_frames(gaps.normal, gaps.tangent) @ still).abs()
        aligned = torch.maximum(cosines[..., 0], cosines[..., 1:].amin(-1)).amax() < _ALIGNED
        return still if aligned else None

    def _deepest(self, sample: Tensor, distance: Tensor, batch: int) -> Tensor | None:
        """Which contacts are among the deepest of their state; None if all are."""
        counts = torch.bincount(sample, minlength=batch)
        if not len(sample) or counts.max() <= self._most:
            return None
        by_depth = distance.detach().argsort()
        rank = torch.empty_like(sample)
        rank[by_depth] = rank_within(sample[by_depth], counts)
        return rank < self._most
