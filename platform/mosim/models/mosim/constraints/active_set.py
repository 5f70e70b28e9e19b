"""The solution of a batch of small contact problems, by Newton's method over the set of rows that give way."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.models.mosim.constraints.force_law import ForceLaw
from mosim.models.mosim.constraints.rows import Rows, by_sample

_LARGE = 16
"""Degrees of freedom from which on a third group of states, by how many rows they have, pays for itself."""


_WHOLE_STEPS = 4
"""Newton's steps that are gone whole, which nearly always suffice; then, only as far as the objective falls."""

_HALVINGS = 50


def accelerations(lower: Tensor, force: Tensor, rows: Sequence[Rows], damping: Tensor | None, searches: int) -> Tensor:
    """What constraints leave of the smooth accelerations `L L^T f`, `(states, n)`, on any device.

    Args:
      lower: `L`, `(states, n, n)`.
      force: `f`, `(states, n)`.
      rows: of the constraint's Jacobian, in any order.
      damping: `C`, `(n,)`, not negative, taken implicitly; None where there is none.
      searches: see `least_push`.
    """
    # Everything is written in z = L^-1 a, where the inertia is the identity and the problem well conditioned.
    smooth = (force.unsqueeze(-2) @ lower).mT
    pushed, size = smooth, force.shape[-1]
    few = (size // 3, 2 * size // 3) if size >= _LARGE else (2 * size // 3,)
    for touched, jacobian, target, law in by_sample(rows, len(force), few):
        along = jacobian @ lower.index_select(0, touched)
        missing = (along @ smooth.index_select(0, touched)).squeeze(-1) - target
        pushed = pushed.index_add(0, touched, least_push(along, missing, law, searches))
    if damping is not None:
        damped = lower.mT @ (damping.unsqueeze(-1) * lower)
        damped.diagonal(dim1=-2, dim2=-1).add_(1.0)
        pushed = solve_positive_definite(damped, pushed)
    return (lower @ pushed).squeeze(-1)


def least_push(along: Tensor, missing: Tensor, law: ForceLaw, searches: int) -> Tensor:
    """What minimises `1/2 |w|^2 + phi(G w + c)`, where the forces along rows are `-phi'`, by Newton's method.

    Forces are linear in the gap as long as the same rows act, and the cones of contacts that slide are where they are:
    these are found without gradients; then one solve, with gradients, is the minimiser.

    Args:
      along: `G`, `(..., rows, n)`.
      missing: `c`, `(..., rows)`.
      law: of the forces, `(..., rows)` each.
      searches: steps of the search at most; states whose rows are found take no more.

    Returns:
      `w`, of shape `(..., n, 1)`.
    """
    batch, (rows, size) = along.shape[:-2], along.shape[-2:]
    along = along.reshape(batch.numel(), rows, size)
    missing, law = missing.reshape(batch.numel(), rows), law.mapped(lambda part: part.reshape(batch.numel(), rows))
    # With few rows the forces along them are looked for, with many the push itself: whichever makes smaller systems.
    few = rows <= size
    matrix, solve = (along @ along.mT, _forces_of) if few else (along, _push_of)
    problems = _Problems(matrix, missing, law)
    solution, gap = _search(solve, problems.mapped(Tensor.detach), searches)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (along, missing, *law)):
        some = problems.law.slope(gap).acts().nonzero().squeeze(-1)
        found = problems.of(some).solved(solve, gap[some])
        solution = torch.zeros_like(solution).index_copy(0, some, found)
    push = along.mT @ solution if few else solution
    return push.reshape(*batch, size, 1)


class _Problems(NamedTuple):
    """Problems of one size.

    Attributes:
      matrix: by which a solution changes what is missing, `(batch, rows, n)`.
      missing: `(batch, rows)`.
      law: of the forces.
    """

    matrix: Tensor
    missing: Tensor
    law: ForceLaw

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "_Problems":
        """The same with each number replaced."""
        return _Problems(function(self.matrix), function(self.missing), self.law.mapped(function))

    def of(self, some: Tensor) -> "_Problems":
        """Some of them."""
        return self.mapped(lambda part: part.index_select(0, some))

    def gap(self, solution: Tensor) -> Tensor:
        """What a solution, `(batch, n, 1)`, leaves missing, `(batch, rows)`."""
        return self.missing + (self.matrix @ solution).squeeze(-1)

    def solved(self, solve: "_Solve", gap: Tensor) -> Tensor:
        """The solutions, `(batch, n, 1)`, if forces change everywhere as they do at `gap`, `(batch, rows)`."""
        slope, square = self.law.slope(gap), _square(self.matrix)
        matrix, missing, start = self.matrix, self.missing, 0.0
        if slope.held is not None:
            held = slope.held.unsqueeze(-1)
            start = held if square else matrix.mT @ held
            missing = self.gap(start)
        if slope.turn is not None:
            matrix, missing = slope.turned(matrix), slope.turned(missing.unsqueeze(-1)).squeeze(-1)
            matrix = slope.turned(matrix.mT).mT if square else matrix
        found = solve(matrix, missing, slope.stiffness)
        return start + (slope.turned_back(found) if square else found)


_Solve = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Solves as if every row's force were proportional, given a matrix, what is missing, and stiffness."""


@torch.no_grad()
def _search(solve: _Solve, problems: _Problems, searches: int) -> tuple[Tensor, Tensor]:
    """The solution, `(batch, n, 1)`, and what is missing where forces change as they do there, `(batch, rows)`.

    A problem for which the next step would be that of the search before is solved, and left alone.
    """
    matrix = problems.matrix
    solution, result = matrix.new_zeros(len(matrix), matrix.shape[-1], 1), problems.missing.clone()
    left = problems.law.slope(result).acts().nonzero().squeeze(-1)
    gap, problems = result.index_select(0, left), problems.of(left)
    reached = solution
    for search in range(searches + 1):
        found = problems.solved(solve, gap)
        solution.index_copy_(0, left, found)
        if search == searches:
            break
        before, gap = gap, problems.gap(found)
        result.index_copy_(0, left, gap)
        changed = problems.law.slope(gap).differs(problems.law.slope(before)).nonzero().squeeze(-1)
        if not len(changed):
            break
        left, found, gap = (part.index_select(0, changed) for part in (left, found, gap))
        problems = problems.of(changed)
        if search > _WHOLE_STEPS:
            found = _descend(reached.index_select(0, changed), found, problems)
            gap = problems.gap(found)
            result.index_copy_(0, left, gap)
        reached = found
    return solution, result


def _descend(start: Tensor, goal: Tensor, problems: _Problems) -> Tensor:
    """From one solution towards another, to where the objective is least on that line, `(batch, n, 1)`.

    The objective's derivative rises along the line, so halving finds its root.
    """
    step = goal - start
    gap, slope = problems.gap(start), (problems.matrix @ step).squeeze(-1)
    # Forces along rows have the push that they make for a length, which `matrix` gives.
    through = slope if _square(problems.matrix) else step.squeeze(-1)
    square = (step.squeeze(-1) * through).sum(-1)
    first = (start.squeeze(-1) * through).sum(-1)
    low, high = torch.zeros_like(square), torch.ones_like(square)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        forces = problems.law.forces(gap + middle.unsqueeze(-1) * slope)
        rises = first + middle * square - (forces * slope).sum(-1) > 0
        low, high = torch.where(rises, low, middle), torch.where(rises, middle, high)
    return start + high[:, None, None] * step


def _square(matrix: Tensor) -> bool:
    return matrix.shape[-1] == matrix.shape[-2]


def _push_of(along: Tensor, missing: Tensor, stiffness: Tensor) -> Tensor:
    """The minimiser, `(batch, n, 1)`, if every row pushes or pulls."""
    weighted = stiffness.unsqueeze(-1) * along
    identity = torch.eye(along.shape[-1], dtype=along.dtype, device=along.device)
    return -solve_positive_definite(torch.baddbmm(identity, along.mT, weighted), weighted.mT @ missing.unsqueeze(-1))


def _forces_of(response: Tensor, missing: Tensor, stiffness: Tensor) -> Tensor:
    """The forces along the rows, `(batch, rows, 1)`, whose push `G^T f` is that minimiser; `response` is `G G^T`."""
    acts = stiffness > 0
    root = (torch.where(acts, stiffness, 1.0).sqrt() * acts).unsqueeze(-1)
    identity = torch.eye(missing.shape[-1], dtype=missing.dtype, device=missing.device)
    matrix = torch.addcmul(identity, root * response, root.mT)
    return -root * solve_positive_definite(matrix, root * missing.unsqueeze(-1))


def solve_positive_definite(matrix: Tensor, right: Tensor) -> Tensor:
    """Solves symmetric positive definite systems; never raises, since a diverging state is not finite.

    Args:
      matrix: `(batch, n, n)`.
      right: `(batch, n, 1)`.
    """
    learns = torch.is_grad_enabled() and (matrix.requires_grad or right.requires_grad)
    with torch.no_grad():
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not failed.any():
            solution = torch.cholesky_solve(right, factor)
    if failed.any():  # Not finite, or so badly conditioned that rounding makes it indefinite.
        return torch.linalg.solve_ex(matrix, right)[0]
    if not learns:
        return solution
    # The gradient of the solution by the implicit function theorem: cheaper than through the factor.
    return solution + torch.cholesky_solve(right - matrix @ solution, factor)
