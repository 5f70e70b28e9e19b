"""Constraint forces: soft contacts and joint limits, along directions that the robot's geometry gives.

The smooth acceleration `a0 = M(q) [b(q, v) + tau(u)]` becomes the one that minimises

    1/2 |a - a0|^2 in the metric of the inertia  +  1/2 sum_r D_r min(0, J_r a - a_r)^2,    a_r = -B_r J_r v - K_r d_r

over the rows of closed contacts (four edges of a friction pyramid each) and of joints beyond their limits. This is the
convex contact model that MuJoCo solves (Todorov, "Convex and analytically-invertible dynamics with contacts and
constraints", ICRA 2014). The distances `d` and Jacobians `J` follow from the geometry; the inverse inertia `M`, the
stiffness `K`, the damping `B`, the impedance `D` and the friction are learned. Joint damping that the step takes
implicitly, `v' = v + h (M^-1 + h C)^-1 M^-1 a`, is learned with them.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mosim.dynamics.config import ConstraintsConfig
from mosim.dynamics.statistics import Statistics
from mosim.systems import ContactGaps, Jacobians, Kinematics, SystemFacts, contact_frames

_STIFFNESS = 2770.0
"""K before training, in 1/s^2: MuJoCo's for its default `solref` (0.02 s, critically damped) and `solimp`."""

_DAMPING = 105.0
"""B before training, in 1/s: MuJoCo's for the same."""

_IMPEDANCE = 10.0
"""D before training, over the response of the row: MuJoCo's for an impedance of 0.91."""

_IMPLICIT_DAMPING = 0.05
"""h C before training, over the inertia."""

_SHALLOW, _DEEP = 5e-4, 1e-2
"""Depths, in metres or radians, at which the stiffness of a constraint may change: of MuJoCo's impedance, and ten times
what a standing robot sinks in."""


class Rows(NamedTuple):
    """What may push: rows of the constraint's Jacobian and what they want.

    Attributes:
      jacobian: `(..., rows, nv)`, in SI units.
      target: `(..., rows)`: the acceleration along the row below which it pushes, `a_r`.
      stiffness: `(..., rows)`: `D_r`; zero where the row is open.
    """

    jacobian: Tensor
    target: Tensor
    stiffness: Tensor


class Constraints(nn.Module):
    """The accelerations that contacts and limits leave of the smooth ones.

    Attributes:
      size: rows of the constraint's Jacobian; 0 where nothing touches and no joint is limited, and nothing is changed.
    """

    def __init__(self, facts: SystemFacts, config: ConstraintsConfig, statistics: Statistics) -> None:
        super().__init__()
        self._searches = config.searches
        most = min(int(statistics.most_contacts), config.contacts)
        self.contacts = ContactRows(facts, statistics, most) if most else None
        limited = any(joint.limited and joint.kind in ("slide", "hinge") for joint in facts.joints)
        self.limits = LimitRows(facts, statistics) if limited else None
        self.size = sum(part.size for part in (self.contacts, self.limits) if part is not None)
        if self.size:
            self.log_damping = nn.Parameter(torch.full((facts.nv,), _IMPLICIT_DAMPING).log())
        self.register_buffer("_scale", statistics.acceleration_std.clone(), persistent=False)
        self.register_buffer("_identity", torch.eye(facts.nv), persistent=False)

    _scale: Tensor
    _identity: Tensor

    def forward(self, qpos: Tensor, qvel: Tensor, lower: Tensor, force: Tensor) -> Tensor:
        """Accelerations, `(..., nv)`, in units of their standard deviation.

        Args:
          qpos: raw, `(..., nq)`.
          qvel: raw, `(..., nv)`.
          lower: `L`, `(..., nv, nv)`: the inverse inertia is `L L^T` in units of the accelerations' standard deviation.
          force: `b(q, v) + tau(u)`, `(..., nv)`.
        """
        # Everything is written in z = L^-1 a, where the inertia is the identity and the problem well conditioned.
        smooth = lower.mT @ force.unsqueeze(-1)
        rows = self._rows(qpos, qvel)
        along = (rows.jacobian * self._scale) @ lower
        missing = (along @ smooth).squeeze(-1) - rows.target
        push = least_push(along, missing, rows.stiffness, self._searches)
        damped = self._identity + (lower.mT * self.log_damping.exp()) @ lower
        return (lower @ _solve(damped, smooth + push)).squeeze(-1)

    def _rows(self, qpos: Tensor, qvel: Tensor) -> Rows:
        parts = [part(qpos, qvel) for part in (self.contacts, self.limits) if part is not None]
        if len(parts) == 1:
            return parts[0]
        jacobians, targets, stiffnesses = zip(*parts, strict=True)
        return Rows(torch.cat(jacobians, dim=-2), torch.cat(targets, dim=-1), torch.cat(stiffnesses, dim=-1))


class LimitRows(nn.Module):
    """Joints beyond their limits: one row each."""

    _qpos: Tensor
    _lower: Tensor
    _upper: Tensor
    _jacobian: Tensor
    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        limited = [joint for joint in facts.joints if joint.limited and joint.kind in ("slide", "hinge")]
        dofs = [joint.dof_address for joint in limited]
        addresses = torch.tensor([joint.qpos_address for joint in limited])
        self.register_buffer("_qpos", addresses, persistent=False)
        self.register_buffer("_lower", torch.tensor([joint.lower for joint in limited]), persistent=False)
        self.register_buffer("_upper", torch.tensor([joint.upper for joint in limited]), persistent=False)
        self.register_buffer("_jacobian", torch.eye(facts.nv)[dofs], persistent=False)
        self.register_buffer("_response", statistics.acceleration_std[dofs].square(), persistent=False)
        self.size = len(limited)
        self.compliance = Compliance(self.size)

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a state."""
        angle = qpos.index_select(-1, self._qpos)
        above, below = angle - self._upper, self._lower - angle
        depth = torch.maximum(above, below)
        # A row's direction is the one that leads back.
        jacobian = torch.where(above > below, -1.0, 1.0).unsqueeze(-1) * self._jacobian
        impedance, damping, stiffness = self.compliance(depth)
        speed = (jacobian @ qvel.unsqueeze(-1)).squeeze(-1)
        return Rows(jacobian, stiffness * depth - damping * speed, impedance / self._response * (depth > 0))


class ContactRows(nn.Module):
    """The deepest contacts: four edges of a friction pyramid each."""

    _moved: Tensor
    _response: Tensor
    _kept: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, most: int) -> None:
        super().__init__()
        self._kinematics, self._jacobians = Kinematics(facts.skeleton), Jacobians(facts.skeleton)
        self._gaps = ContactGaps(facts.skeleton)
        moves = self._jacobians.moves
        self.register_buffer("_moved", moves[self._gaps.first] - moves[self._gaps.second], persistent=False)
        # A gap that never opens wide enough to be seen moving has no response; it is given the median.
        response = statistics.contact_response
        response = torch.where(response > 0, response, response.median().clamp_min(1e-6))
        self.register_buffer("_response", response, persistent=False)
        self._most = most
        self.size = 4 * most
        self.compliance = Compliance(self._gaps.size)
        self.log_friction = nn.Parameter(torch.zeros(self._gaps.size))

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a state."""
        poses = self._kinematics.poses(qpos)
        gaps = self._gaps(poses)
        distance, chosen = torch.topk(gaps.distance, self._most, dim=-1, largest=False)
        frames = contact_frames(_take(gaps.normal, chosen), _take(gaps.tangent, chosen))
        jacobian = frames @ self._jacobians(poses, _take(gaps.position, chosen), self._moved[chosen]).mT
        normal, sideways = jacobian[..., :1, :], jacobian[..., 1:, :]
        sideways = (self._gaps.friction * self.log_friction.exp())[chosen][..., None, None] * sideways
        edges = torch.cat([normal + sideways, normal - sideways], dim=-2)
        depth = -distance
        impedance, damping, stiffness = (part.unsqueeze(-1) for part in self.compliance(depth, chosen))
        closed = (depth > 0).unsqueeze(-1)
        speed = (edges @ qvel[..., None, :, None]).squeeze(-1)
        target = stiffness * depth.unsqueeze(-1) - damping * speed
        impedance = (closed * impedance / self._response[chosen].unsqueeze(-1)).expand_as(target)
        return Rows(edges.flatten(-3, -2), target.flatten(-2), impedance.flatten(-2))


class Compliance(nn.Module):
    """How a constraint gives way: three positive numbers, one of each a constraint, that change with its depth."""

    def __init__(self, constraints: int) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(constraints, 3))
        self.hidden = nn.Linear(3, 16)
        self.output = nn.Linear(16, 3)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, depth: Tensor, which: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Impedance, damping and stiffness.

        Args:
          depth: in metres or radians, `(..., n)`.
          which: constraints, `(..., n)`; all in their order where not given.
        """
        depth = torch.relu(depth)
        shape = torch.stack([torch.tanh(depth / _SHALLOW), depth / _DEEP, torch.log1p(depth / _SHALLOW)], dim=-1)
        own = self.own if which is None else self.own[which]
        impedance, damping, stiffness = (own + self.output(torch.tanh(self.hidden(shape)))).exp().unbind(-1)
        return _IMPEDANCE * impedance, _DAMPING * damping, _STIFFNESS * stiffness


def least_push(along: Tensor, missing: Tensor, stiffness: Tensor, searches: int) -> Tensor:
    """What minimises `1/2 |w|^2 + 1/2 sum_r D_r min(0, G_r w + c_r)^2`.

    By Newton's method over the set of rows that push: the set is found without gradients; then one solve, with
    gradients, is the minimiser for that set.

    Args:
      along: `G`, `(..., rows, n)`.
      missing: `c`, `(..., rows)`.
      stiffness: `D`, `(..., rows)`, not negative.
      searches: steps of the search; three find the set in all but rare states.

    Returns:
      `w`, of shape `(..., n, 1)`.
    """
    with torch.no_grad():
        residual = missing
        for _ in range(searches):
            push = _push_of(along, missing, stiffness * (residual < 0))
            residual = missing + (along @ push).squeeze(-1)
        pushing = residual < 0
    return _push_of(along, missing, stiffness * pushing)


def _push_of(along: Tensor, missing: Tensor, stiffness: Tensor) -> Tensor:
    """The minimiser if every row pushes or pulls."""
    weighted = stiffness.unsqueeze(-1) * along
    identity = torch.eye(along.shape[-1], dtype=along.dtype, device=along.device)
    return -_solve(identity + along.mT @ weighted, weighted.mT @ missing.unsqueeze(-1))


def _take(values: Tensor, chosen: Tensor) -> Tensor:
    return values.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, values.shape[-1]))


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solves symmetric positive definite systems; never raises, since a diverging state is not finite."""
    return torch.linalg.solve_ex(matrix, right)[0]
