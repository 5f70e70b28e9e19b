"""The solution of a batch of small contact problems, by Newton's method over the set of rows that give way."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.models.mosim.constraints.rows import Rows, by_sample, forces_along

_LARGE = 16
"""Degrees of freedom from which on a third group of states, by how many rows they have, pays for itself."""


_WHOLE_STEPS = 4
"""Newton's steps that are gone whole, which nearly always suffice; then, only as far as the objective falls."""

_HALVINGS = 50

_PROPORTIONAL = 2
"""Stands for a row whose force is its stiffness times what it misses."""


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
    for touched, jacobian, target, stiffness, strength in by_sample(rows, len(force), few):
        along = jacobian @ lower.index_select(0, touched)
        missing = (along @ smooth.index_select(0, touched)).squeeze(-1) - target
        pushed = pushed.index_add(0, touched, least_push(along, missing, stiffness, searches, strength))
    if damping is not None:
        damped = lower.mT @ (damping.unsqueeze(-1) * lower)
        damped.diagonal(dim1=-2, dim2=-1).add_(1.0)
        pushed = solve_positive_definite(damped, pushed)
    return (lower @ pushed).squeeze(-1)


def least_push(
    along: Tensor, missing: Tensor, stiffness: Tensor, searches: int, strength: Tensor | None = None
) -> Tensor:
    """What minimises `1/2 |w|^2 + sum_r phi_r(G_w r + c_r)`, where `-phi_r'` is the force along a row.

    That is `D_r` times what a row that only pushes misses, `min(0, G_r w + c_r)`, or all that another misses, up to its
    strength. By Newton's method over the set of rows whose force is of that size: the set is found without gradients;
    then one solve, with gradients, is the minimiser for that set.

    Args:
      along: `G`, `(..., rows, n)`.
      missing: `c`, `(..., rows)`.
      stiffness: `D`, `(..., rows)`, not negative.
      searches: steps of the search at most; states whose set is found take no more.
      strength: `(..., rows)`: see `strengths` of rows.py; None where all rows only push.

    Returns:
      `w`, of shape `(..., n, 1)`.
    """
    batch, (rows, size) = along.shape[:-2], along.shape[-2:]
    along = along.reshape(batch.numel(), rows, size)
    missing, stiffness = (part.reshape(batch.numel(), rows) for part in (missing, stiffness))
    strength = None if strength is None else strength.reshape(batch.numel(), rows)
    # With few rows the forces along them are looked for, with many the push itself: whichever makes smaller systems.
    few = rows <= size
    matrix, solve = (along @ along.mT, _forces_of) if few else (along, _push_of)
    problems = _Problems(matrix, missing, stiffness, strength)
    solution, acting = _search(solve, problems.mapped(Tensor.detach), searches)
    learned = (along, missing, stiffness, *([] if strength is None else [strength]))
    if torch.is_grad_enabled() and any(part.requires_grad for part in learned):
        some = acting.any(-1).nonzero().squeeze(-1)
        found = problems.of(some).solved(solve, acting[some])
        solution = torch.zeros_like(solution).index_copy(0, some, found)
    push = along.mT @ solution if few else solution
    return push.reshape(*batch, size, 1)


class _Problems(NamedTuple):
    """Problems of one size: `matrix`, by which a solution changes what is missing, `(batch, rows, n)`, and the rest.

    Which rows act is a number each, `(batch, rows)`: `_PROPORTIONAL`, the sign of a force that is at its strength, or
    zero where there is no force.
    """

    matrix: Tensor
    missing: Tensor
    stiffness: Tensor
    strength: Tensor | None

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "_Problems":
        """The same with each part replaced."""
        strength = None if self.strength is None else function(self.strength)
        return _Problems(function(self.matrix), function(self.missing), function(self.stiffness), strength)

    def of(self, some: Tensor) -> "_Problems":
        """Some of them."""
        return self.mapped(lambda part: part.index_select(0, some))

    def gap(self, solution: Tensor) -> Tensor:
        """What a solution, `(batch, n, 1)`, leaves missing, `(batch, rows)`."""
        return self.missing + (self.matrix @ solution).squeeze(-1)

    def acting(self, gap: Tensor) -> Tensor:
        """Which rows act where so much is missing."""
        if self.strength is None:
            return _PROPORTIONAL * ((gap < 0) & (self.stiffness > 0))
        force = forces_along(gap, self.stiffness, self.strength)
        spent = (force.abs() == self.strength) & (self.strength >= 0)
        return torch.where(spent, force.sign().long(), _PROPORTIONAL * (force != 0))

    def solved(self, solve: "_Solve", acting: Tensor) -> Tensor:
        """The solutions, `(batch, n, 1)`, if exactly these rows act."""
        proportional = self.stiffness * (acting == _PROPORTIONAL)
        if self.strength is None:
            return solve(self.matrix, self.missing, proportional)
        spent = acting.abs() == 1
        force = (torch.where(spent, self.strength, 0.0) * acting).unsqueeze(-1)
        at_first = force if _square(self.matrix) else self.matrix.mT @ force
        return at_first + solve(self.matrix, self.gap(at_first), proportional)


_Solve = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Solves as if every row's force were proportional, given a matrix, what is missing, and stiffness."""


@torch.no_grad()
def _search(solve: _Solve, problems: _Problems, searches: int) -> tuple[Tensor, Tensor]:
    """The solution, `(batch, n, 1)`, and which rows act, `(batch, rows)`.

    A problem whose set of rows is that of the search before is solved, and left alone.
    """
    matrix = problems.matrix
    solution = matrix.new_zeros(len(matrix), matrix.shape[-1], 1)
    result = problems.acting(problems.missing)
    left = result.any(-1).nonzero().squeeze(-1)
    acting, problems = result.index_select(0, left), problems.of(left)
    reached = solution
    for search in range(searches + 1):
        found = problems.solved(solve, acting)
        solution.index_copy_(0, left, found)
        if search == searches:
            break
        acts = problems.acting(problems.gap(found))
        changed = (acts != acting).any(-1).nonzero().squeeze(-1)
        if not len(changed):
            break
        left, found, acting = (part.index_select(0, changed) for part in (left, found, acts))
        problems = problems.of(changed)
        if search > _WHOLE_STEPS:
            found = _descend(reached.index_select(0, changed), found, problems)
            acting = problems.acting(problems.gap(found))
        reached = found
        result.index_copy_(0, left, acting)
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
        forces = forces_along(gap + middle.unsqueeze(-1) * slope, problems.stiffness, problems.strength)
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
