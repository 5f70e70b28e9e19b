"""The solution of a batch of small contact problems, by Newton's method over the set of rows that push."""

from collections.abc import Callable

import torch
from torch import Tensor

_MANY = 256
"""Systems, at least, that are worth a loop in Python over their rows."""


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
    for search in range(searches + 1):
        found = solve(matrix, missing, stiffness * pushes)
        solution.index_copy_(0, left, found)
        if search == searches:
            break
        before, pushes = pushes, (missing + (matrix @ found).squeeze(-1) < 0) & (stiffness > 0)
        pushing.index_copy_(0, left, pushes)
        changed = (pushes != before).any(-1).nonzero().squeeze(-1)
        if not len(changed):
            break
        left, pushes, matrix, missing, stiffness = (
            part.index_select(0, changed) for part in (left, pushes, matrix, missing, stiffness)
        )
    return solution, pushing


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
    if not learns and matrix.is_cpu and len(matrix) >= _MANY:
        solution, definite = _eliminate(matrix, right)
        return solution if definite else torch.linalg.solve_ex(matrix, right)[0]
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


@torch.no_grad()
def _eliminate(matrix: Tensor, right: Tensor) -> tuple[Tensor, bool]:
    """The solutions, `(batch, n, 1)`, by Gauss's elimination, and whether every matrix was positive definite.

    The batch comes last, since a processor's library takes longer over many tiny matrices one at a time.
    """
    size = matrix.shape[-1]
    table = matrix.new_empty(size, size + 1, len(matrix))
    table[:, :size].copy_(matrix.permute(1, 2, 0))
    table[:, size:].copy_(right.permute(1, 2, 0))
    for pivot in range(size - 1):
        share = table[pivot, pivot + 1 :] / table[pivot, pivot]
        table[pivot + 1 :, pivot + 1 :].addcmul_(table[pivot + 1 :, pivot, None], share, value=-1)
    solution = table[:, size]
    for pivot in reversed(range(size)):
        solution[pivot] /= table[pivot, pivot]
        solution[:pivot].addcmul_(table[:pivot, pivot], solution[pivot], value=-1)
    pivots = table.diagonal(dim1=0, dim2=1)
    return solution.mT.unsqueeze(-1), bool((pivots > 0).all())
