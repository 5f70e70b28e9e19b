"""The solution of a batch of small contact problems, by Newton's method over the set of rows that push."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

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
    for touched, jacobian, target, stiffness in by_sample(rows, len(force), few):
        along = jacobian @ lower.index_select(0, touched)
        missing = (along @ smooth.index_select(0, touched)).squeeze(-1) - target
        pushed = pushed.index_add(0, touched, least_push(along, missing, stiffness, searches))
    if damping is not None:
        damped = lower.mT @ (damping.unsqueeze(-1) * lower)
        damped.diagonal(dim1=-2, dim2=-1).add_(1.0)
        pushed = solve_positive_definite(damped, pushed)
    return (lower @ pushed).squeeze(-1)


def least_push(along: Tensor, missing: Tensor, stiffness: Tensor, searches: int) -> Tensor:
    """What minimises `1/2 |w|^2 + 1/2 sum_r D_r min(0, G_r w + c_r)^2`.

    By Newton's method over the set of rows that push: the set is found without gradients; then one solve, with
    gradients, is the minimiser for that set.

    Args:
      along: `G`, `(..., rows, n)`.
      missing: `c`, `(..., rows)`.
      stiffness: `D`, `(..., rows)`, not negative.
      searches: steps of the search at most; states whose set is found take no more.

    Returns:
      `w`, of shape `(..., n, 1)`.
    """
    batch, (rows, size) = along.shape[:-2], along.shape[-2:]
    along = along.reshape(batch.numel(), rows, size)
    missing, stiffness = (part.reshape(batch.numel(), rows) for part in (missing, stiffness))
    # With few rows the forces along them are looked for, with many the push itself: whichever makes smaller systems.
    few = rows <= size
    matrix, solve = (along @ along.mT, _forces_of) if few else (along, _push_of)
    solution, pushing = _search(solve, matrix.detach(), missing.detach(), stiffness.detach(), searches)
    if torch.is_grad_enabled() and (along.requires_grad or missing.requires_grad or stiffness.requires_grad):
        some = pushing.any(-1).nonzero().squeeze(-1)
        found = solve(matrix[some], missing[some], (stiffness * pushing)[some])
        solution = torch.zeros_like(solution).index_copy(0, some, found)
    push = along.mT @ solution if few else solution
    return push.reshape(*batch, size, 1)


@torch.no_grad()
def _search(
    solve: Callable[[Tensor, Tensor, Tensor], Tensor],
    matrix: Tensor,
    missing: Tensor,
    stiffness: Tensor,
    searches: int,
) -> tuple[Tensor, Tensor]:
    """The solution, `(batch, n, 1)`, and which rows push, `(batch, rows)`.

    A problem whose set of rows is that of the search before is solved, and left alone.

    Args:
      solve: solves as if every row pushed or pulled.
      matrix: by which a solution changes what is missing, `(batch, rows, n)`.
      missing: see `least_push`, as the others.
      stiffness: `(batch, rows)`.
      searches: at least 1.
    """
    solution = matrix.new_zeros(len(matrix), matrix.shape[-1], 1)
    pushing = (missing < 0) & (stiffness > 0)
    left = pushing.any(-1).nonzero().squeeze(-1)
    pushes, matrix, missing, stiffness = (part.index_select(0, left) for part in (pushing, matrix, missing, stiffness))
    reached = solution
    for search in range(searches + 1):
        found = solve(matrix, missing, stiffness * pushes)
        solution.index_copy_(0, left, found)
        if search == searches:
            break
        gap = missing + (matrix @ found).squeeze(-1)
        changed = (((gap < 0) & (stiffness > 0)) != pushes).any(-1).nonzero().squeeze(-1)
        if not len(changed):
            break
        left, pushes, matrix, missing, stiffness, found, gap = (
            part.index_select(0, changed) for part in (left, pushes, matrix, missing, stiffness, found, gap)
        )
        if search == _WHOLE_STEPS:
            reached = found
        if search > _WHOLE_STEPS:
            reached = _descend(reached.index_select(0, changed), found, matrix, missing, stiffness)
            gap = missing + (matrix @ reached).squeeze(-1)
        pushes = (gap < 0) & (stiffness > 0)
        pushing.index_copy_(0, left, pushes)
    return solution, pushing


def _descend(start: Tensor, goal: Tensor, matrix: Tensor, missing: Tensor, stiffness: Tensor) -> Tensor:
    """From one solution towards another, to where the objective is least on that line, `(batch, n, 1)`.

    The objective's derivative rises along the line, so halving finds its root.
    """
    step = goal - start
    gap, slope = ((matrix @ part).squeeze(-1) for part in (start, step))
    gap = gap + missing
    # Forces along rows have the push that they make for a length, which `matrix` gives.
    through = slope if matrix.shape[-1] == matrix.shape[-2] else step.squeeze(-1)
    square = (step.squeeze(-1) * through).sum(-1)
    first = (start.squeeze(-1) * through).sum(-1)
    low, high = torch.zeros_like(square), torch.ones_like(square)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        missed = (gap + middle.unsqueeze(-1) * slope).clamp_max(0.0)
        rises = first + middle * square + (stiffness * missed * slope).sum(-1) > 0
        low, high = torch.where(rises, low, middle), torch.where(rises, middle, high)
    return start + high[:, None, None] * step


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
