"""Constraint forces: soft contacts, limits, couplings and dry friction, along directions that the geometry gives.

The smooth acceleration `a0 = M(q) [b(q, v) + tau(u)]` becomes the one that minimises

    1/2 |a - a0|^2 in the metric of the inertia  +  1/2 sum_r D_r min(0, J_r a - a_r)^2,    a_r = -B_r J_r v - K_r d_r

over the rows of closed contacts (edges of a friction pyramid each) and of joints beyond their limits; of couplings,
which pull as well, so that all that they miss counts; of dry friction, which holds up to a strength; and of contacts
with elliptic cones, whose three rows have one force together (see `ForceLaw`). This is the convex contact model that
MuJoCo solves (Todorov, "Convex and analytically-invertible dynamics with contacts and constraints", ICRA 2014). The
distances `d` and Jacobians `J` follow from the geometry; the inverse inertia `M`, the stiffness `K`, the damping `B`,
the impedance `D` and the friction are learned. Joint damping that the step takes implicitly, `v' = v + h (M^-1 + h
C)^-1 M^-1 a`, is the predictor's.
"""

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo  # torch.compiler.disable loads the compiler at once: seconds at every start.

from mosim.models.mosim.config import ConstraintsConfig, NeuralSimulatorConfig
from mosim.models.mosim.constraints import active_set, constraint_forces
from mosim.models.mosim.constraints.contact_rows import ContactRows
from mosim.models.mosim.constraints.coupling_rows import CouplingRows
from mosim.models.mosim.constraints.dry_friction_rows import DryFrictionRows
from mosim.models.mosim.constraints.limit_rows import LimitRows
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

ConstraintRows = ContactRows | LimitRows | CouplingRows | DryFrictionRows
"""What gives rows of the constraint's Jacobian, with a compliance that is learned."""


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
    def parts(self) -> list[ConstraintRows]:
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
