"""How accelerations change with everything that an articulated predictor has learned, in closed form.

With inertia `M`, smooth forces `f`, constraint rows `J` of stiffness `D` that want `a_r`, those of them whose force is
in proportion to what they miss, and damping `C` that a step of `h` takes implicitly, accelerations obey

    M a' = f - sum_r J_r^T D_r (J_r a' - a_r),    (M + h C) a = M a'.

Differentiated, with `K = sum_r D_r J_r^T J_r`:

    (M + h C) da = M (M + K)^-1 [df - dM a' + dc] + dM (a' - a) - h dC a,

where `dc` is how the rows' push changes with the constraints' numbers while `a'` stays. What masses, joint forces and
gears ask for is linear in them, see `ForceBalance`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.models.mosim.constraints import active_set
from mosim.models.mosim.constraints.compliance import NUMBERS, Compliance, Impedances
from mosim.models.mosim.constraints.constrained_motion import ConstraintRows
from mosim.models.mosim.constraints.rows import Rows, rank_within
from mosim.models.mosim.identification.force_balance import DAMPING, ForceBalance
from mosim.models.mosim.tree.articulated import ArticulatedPredictor

_SEARCHES = 50
"""Steps of the search for the rows that push, see `active_set.least_push`: more than any state needs."""


class Sensitivity(NamedTuple):
    """Derivatives of accelerations in units of their standard deviation.

    Attributes:
      mechanics: `(batch, nv, unknowns)`: by the unknowns of a `ForceBalance`, if they were asked for.
      numbers: `(batch, nv, k, NUMBERS)`: by what `Compliance.learned` gives of the constraints that act.
      which: `(batch, k)`: which constraint that is, contacts first; where fewer than `k` act, `numbers` ends in zeros.
    """

    mechanics: Tensor
    numbers: Tensor
    which: Tensor


class StepSensitivity:
    """Derivatives of the accelerations of a simulator whose predictor is an articulated one in double precision."""

    def __init__(
        self, predictor: ArticulatedPredictor, acceleration_std: Tensor, parts: Sequence[ConstraintRows]
    ) -> None:
        """`acceleration_std`, `(nv,)`, is the unit of accelerations; `parts` are the predictor's constraints."""
        self._predictor, self._balance, self._parts = predictor, ForceBalance(predictor), parts
        self._unit = acceleration_std.double()

    @torch.no_grad()
    def __call__(self, qpos: Tensor, qvel: Tensor, action: Tensor, control: Tensor, mechanics: bool) -> Sensitivity:
        """The derivatives at states, all in double precision.

        Args:
          qpos: `(batch, nq)`.
          qvel: `(batch, nv)`.
          action: `(batch, nu)`, scaled to [-1, 1].
          control: the same, in actuator units.
          mechanics: whether those by masses, joint forces and gears are asked for.
        """
        predictor, unit = self._predictor, self._unit
        lower, bias = predictor.factor_and_bias(qpos, qvel, unit)
        force = (predictor.applied_force(qpos, qvel, action) - bias) * unit
        found = [_by_numbers(part, qpos, qvel) for part in self._parts]
        rows = [of_part.rows.mapped(Tensor.detach) for of_part in found]
        if rows:
            undamped = active_set.accelerations(lower, force, rows, None, _SEARCHES)
        else:
            undamped = (lower @ (lower.mT @ force.unsqueeze(-1))).squeeze(-1)
        # In z = L^-1 a, where the inertia is the identity.
        stiff = torch.eye(len(unit)).to(lower).expand_as(lower).clone()
        for of_part in rows:
            slope = of_part.law.slope(_gap(of_part, undamped))
            along = slope.turned(of_part.jacobian @ lower[of_part.sample])
            stiff.index_add_(0, of_part.sample, along.mT @ (slope.stiffness.unsqueeze(-1) * along))
        damped = torch.eye(len(unit)).to(lower).expand_as(lower)
        if (resistance := predictor.implicit_damping(qpos, qvel, action)) is not None:
            damped = damped + lower.mT @ (torch.outer(unit, unit) * resistance) @ lower
        outer = torch.linalg.solve(damped, lower.mT).mT
        whole = torch.linalg.solve(stiff, outer.mT).mT
        by_mechanics = qpos.new_zeros(len(qpos), len(unit), 0)
        if mechanics:
            rates = (outer @ torch.linalg.solve_triangular(lower, undamped.unsqueeze(-1), upper=False)).squeeze(-1)
            by_mechanics = self._of_mechanics(whole @ lower.mT, outer @ lower.mT, qpos, qvel, undamped, rates, control)
        by_numbers = []
        for of_part in found:
            sample = of_part.rows.sample
            by_numbers.append(whole[sample] @ (lower[sample].mT @ _of_push(of_part, undamped)))
        before, which = 0, []
        for part, of_part in zip(self._parts, found, strict=True):
            which.append(of_part.which + before)
            before += len(part.compliance.own)
        samples = [of_part.sample for of_part in rows]
        return Sensitivity(by_mechanics, *_by_state(samples, by_numbers, which, undamped))

    def _of_mechanics(
        self, whole: Tensor, outer: Tensor, qpos: Tensor, qvel: Tensor, undamped: Tensor, rates: Tensor, control: Tensor
    ) -> Tensor:
        """`whole` and `outer`, `(batch, nv, nv)`, make accelerations of forces with the constraints and without."""
        balance, predictor = self._balance, self._predictor
        scale = balance.force_scale * self._unit
        whole, outer = whole * scale, outer * scale
        asked = balance(qpos, qvel, undamped * self._unit, qvel, control)
        shared = -whole @ asked.shared
        own = -torch.einsum("bij,bjk->bijk", whole, asked.own)
        if predictor.implicit_timestep:
            more = balance.of_inertia(qpos, (undamped - rates) * self._unit)
            shared += outer @ more.shared
            gained = predictor.implicit_timestep * rates * self._unit
            shared -= outer @ balance.of_servo_damping(qpos, qvel, gained, control)
            joints = more.own.clone()
            joints[..., DAMPING] = -gained * predictor.joints.damping_scale / predictor.joints.force_scale
            own += torch.einsum("bij,bjk->bijk", outer, joints)
        return torch.cat([shared, own.flatten(-2)], dim=-1)


class _Recorded(Compliance):
    """Stands in for another: keeps the numbers of each constraint that acts, to differentiate by."""

    def __init__(self, learned: Tensor) -> None:
        super().__init__(len(learned))
        self._learned, self.numbers, self.which = learned, learned[:0], torch.zeros(0, dtype=torch.long)

    def forward(self, sample: Tensor, which: Tensor) -> Impedances:
        del sample
        self.numbers, self.which = self._learned[which].requires_grad_(), which
        return Impedances.of(self.numbers)


class _ByNumbers(NamedTuple):
    """Rows with their graph, and what they are differentiated by.

    Attributes:
      rows: of constraints that act.
      numbers: of each, `(n, NUMBERS)`.
      which: constraint each is, `(n,)`.
    """

    rows: Rows
    numbers: Tensor
    which: Tensor


@torch.enable_grad()
def _by_numbers(part: ConstraintRows, qpos: Tensor, qvel: Tensor) -> _ByNumbers:
    compliance = part.compliance
    recorded = _Recorded(compliance.learned().detach())
    part.compliance = recorded
    try:
        rows = part(qpos, qvel)
    finally:
        part.compliance = compliance
    return _ByNumbers(rows, recorded.numbers, recorded.which)


def _gap(rows: Rows, accelerations: Tensor) -> Tensor:
    """By how much accelerations miss what rows want, `(n, edges)`."""
    return (rows.jacobian @ accelerations[rows.sample].unsqueeze(-1)).squeeze(-1) - rows.target


@torch.enable_grad()
def _of_push(found: _ByNumbers, accelerations: Tensor) -> Tensor:
    """Derivatives of the forces on degrees of freedom by the numbers of each constraint, `(n, nv, NUMBERS)`.

    Accelerations stay as they are. There are more degrees of freedom than numbers, so this goes forward, one number at
    a time, which is backward twice.
    """
    rows, numbers = found.rows, found.numbers
    forces = rows.law.forces(_gap(rows, accelerations)).unsqueeze(-1)
    push = (rows.jacobian.mT @ forces).squeeze(-1)
    weights = torch.zeros_like(push).requires_grad_()
    slopes = torch.autograd.grad((push * weights).sum(), numbers, create_graph=True, materialize_grads=True)[0]
    columns = [
        torch.autograd.grad(slope.sum(), weights, retain_graph=True, materialize_grads=True)[0]
        for slope in slopes.unbind(-1)
    ]
    return torch.stack(columns, dim=-1)


def _by_state(
    samples: Sequence[Tensor], numbers: Sequence[Tensor], which: Sequence[Tensor], like: Tensor
) -> tuple[Tensor, Tensor]:
    """What is known of each constraint that acts, put together by the states in which they do; see `Sensitivity`."""
    batch, size = like.shape
    sample = torch.cat([torch.zeros(0, dtype=torch.long), *samples])
    counts = torch.bincount(sample, minlength=batch)
    most = int(counts.max()) if len(sample) else 0
    rank = rank_within(sample, counts)
    found, places = like.new_zeros(batch, most, size, NUMBERS), sample.new_zeros(batch, most)
    found[sample, rank] = torch.cat([like.new_zeros(0, size, NUMBERS), *numbers])
    places[sample, rank] = torch.cat([sample[:0], *which])
    return found.movedim(1, 2), places
