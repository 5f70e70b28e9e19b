"""Levenberg and Marquardt's method for few unknowns, many residuals, and some of these that no unknowns explain."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

_OUTLYING = 6.0
"""Median sizes from which on a group of residuals counts less."""

_LEAST_CUTS = (1e-1, 1e-2, 1e-3, 1e-4)
"""Where that begins at least, one after the other: while some unknowns are still on their way, the residuals that
depend on them are no outliers."""

_STEPS = 60
_LEAST_GAIN = 0.03
"""Share of the loss that a step must take away, or the next of these cuts is due."""

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-14, 1e8
_EASED, _TIGHTENED = 0.1, 4.0
"""By what the damping changes after a good step, and after a bad one."""

_LONGEST_STEP = 3.0
"""Of any unknown."""

_LEAST_NOISE = 1e-7

_ROUNDING = 3e-7
"""Median size below which residuals are rounding, of which little is to be gained."""


@runtime_checkable
class Problem(Protocol):
    """What is solved: groups of residuals, and what is likely of the unknowns before them.

    Attributes:
      expected: `(n,)`: of the unknowns.
      precision: `(n,)`: one over the squares of how far they are likely to be from it.
    """

    expected: Tensor
    precision: Tensor

    def residuals(self, unknowns: Tensor) -> Tensor:
        """`(groups, m)`, at unknowns `(n,)`."""
        ...

    def equations(self, unknowns: Tensor, cut: float) -> tuple[Tensor, Tensor]:
        """`J^T w r`, `(n,)`, and `J^T w J`, `(n, n)`, with `w = cauchy_weights(r, cut)` of each group."""
        ...


class Solution(NamedTuple):
    """What was found.

    Attributes:
      unknowns: `(n,)`.
      residuals: `(groups, m)`.
      cut: root mean square of a group from which on it counts less than half.
    """

    unknowns: Tensor
    residuals: Tensor
    cut: float


def sizes(residuals: Tensor) -> Tensor:
    """The root mean square of each group, `(groups,)`."""
    return residuals.square().mean(-1).sqrt()


def cauchy_weights(residuals: Tensor, cut: float) -> Tensor:
    """How much each group counts, `(groups,)`."""
    return 1 / (1 + (sizes(residuals) / cut).square())


def solve(problem: Problem, start: Tensor, free: Tensor, least_gain: float = _LEAST_GAIN) -> Solution:
    """The unknowns that residuals and expectation together make the most likely, as steps from `start` find them.

    The noise of the residuals is taken from their median size, so that what the data say soon outweighs what was
    expected.

    Args:
      problem: what is solved.
      start: `(n,)`.
      free: `(n,)`: which of them are looked for; the others stay.
      least_gain: share of the loss that a step must take away at last, or it is the end; where the median size is that
        of rounding, it is as large as with the cuts before.
    """
    unknowns, damping, stage = start, _FIRST_DAMPING, 0
    residuals = problem.residuals(unknowns)
    identity = torch.eye(int(free.sum()), dtype=start.dtype)
    cut = _cut(residuals, stage)
    for _ in range(_STEPS):
        cut = _cut(residuals, stage)
        noise = max(float(sizes(residuals).median()), _LEAST_NOISE) ** 2
        loss = _loss(problem, residuals, unknowns, cut, noise)
        gradient, hessian = problem.equations(unknowns, cut)
        gradient = (gradient + noise * problem.precision * (unknowns - problem.expected))[free]
        hessian = (hessian + noise * torch.diag(problem.precision))[free][:, free]
        scale, gain = float(hessian.diagonal().mean()), 0.0
        while damping < _MOST_DAMPING:
            factor, failed = torch.linalg.cholesky_ex(hessian + damping * scale * identity)
            step = -torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
            if not failed and float(step.abs().max()) <= _LONGEST_STEP:
                moved = unknowns.index_add(0, free.nonzero().squeeze(-1), step)
                tried = problem.residuals(moved)
                now = _loss(problem, tried, moved, cut, noise)
                if now < loss:
                    gain, unknowns, residuals = (loss - now) / loss, moved, tried
                    damping = max(damping * _EASED, _LEAST_DAMPING)
                    break
            damping *= _TIGHTENED
        last = stage == len(_LEAST_CUTS) - 1 and noise > _ROUNDING**2
        if gain < (least_gain if last else _LEAST_GAIN):
            stage += 1
            damping = min(damping, _FIRST_DAMPING)
            if stage == len(_LEAST_CUTS):
                break
    return Solution(unknowns, residuals, cut)


def _cut(residuals: Tensor, stage: int) -> float:
    return max(_OUTLYING * float(sizes(residuals).median()), _LEAST_CUTS[stage])


def _loss(problem: Problem, residuals: Tensor, unknowns: Tensor, cut: float, noise: float) -> float:
    """The negative logarithm of the likelihood, times the noise."""
    robust = cut**2 * torch.log1p((sizes(residuals) / cut).square()).sum() * residuals.shape[-1]
    return 0.5 * float(robust + noise * (problem.precision * (unknowns - problem.expected).square()).sum())
