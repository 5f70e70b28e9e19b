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
from mosim.dynamics.config import ConstraintsConfig, ModelConfig
from mosim.dynamics.contact_motion import ContactMotion
from mosim.dynamics.limit_motion import LimitMotion
from mosim.dynamics.rows import Rows
from mosim.dynamics.statistics import Statistics
from mosim.systems import SystemFacts

_STIFFNESS = 2770.0
"""K before training, in 1/s^2: MuJoCo's for its default `solref` (0.02 s, critically damped) and `solimp`."""

_DAMPING = 105.0
"""B before training, in 1/s: MuJoCo's for the same."""

_IMPEDANCE = 10.0
"""D before training, over the response of the row: MuJoCo's for an impedance of 0.91."""

_SHALLOW, _DEEP = 5e-4, 1e-2
"""Depths, in metres or radians, at which the stiffness of a constraint may change: of MuJoCo's impedance, and ten times
what a standing robot sinks in."""


class Constraints(nn.Module):
    """The accelerations that contacts and limits leave of the smooth ones.

    Attributes:
      size: rows of the constraint's Jacobian at most; 0 where nothing touches and no joint is limited, and nothing is
        changed.
    """

    def __init__(self, facts: SystemFacts, config: ConstraintsConfig, statistics: Statistics) -> None:
        super().__init__()
        self._searches = config.searches
        most = min(int(statistics.most_contacts), config.contacts)
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


class LimitRows(nn.Module):
    """Joints beyond their limits: one row each."""

    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        self._motion = LimitMotion(facts, statistics.acceleration_std)
        response = statistics.acceleration_std[self._motion.dofs].square()
        self.register_buffer("_response", response, persistent=False)
        self.size = self._motion.size
        self.compliance = Compliance(self.size)

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which, depth, jacobian, speed = self._motion(qpos, qvel)
        impedance, damping, stiffness = self.compliance(depth, which)
        target = stiffness * depth - damping * speed
        impedance = impedance / self._response[which]
        return Rows(sample, jacobian.unsqueeze(1), target.unsqueeze(1), impedance.unsqueeze(1))


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
        self.size = len(sides) * most
        self.compliance = Compliance(self._motion.gaps.size)
        self.log_friction = nn.Parameter(torch.zeros(self._motion.gaps.size))

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which, distance, jacobian, speed = self._motion(qpos, qvel)
        friction = (self._motion.gaps.friction * self.log_friction.exp())[which].unsqueeze(-1)
        jacobian = jacobian[:, :1] + friction.unsqueeze(-1) * (self._sides @ jacobian[:, 1:])
        speed = speed[:, :1] + friction * (speed[:, 1:] @ self._sides.mT)
        depth = -distance
        impedance, damping, stiffness = (part.unsqueeze(-1) for part in self.compliance(depth, which))
        target = stiffness * depth.unsqueeze(-1) - damping * speed
        impedance = impedance / self._response[which].unsqueeze(-1) * self._share
        return Rows(sample, jacobian, target, impedance)


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
