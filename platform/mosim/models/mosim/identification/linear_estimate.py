"""The most likely of many unknowns, given noisy linear equations and a convex belief about them."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

_ROUNDING = 1e-12
"""Share of the largest singular value below which equations say nothing."""

_LEAST_NOISE = 1e-9

_POWERS = (*range(-3, 7), 8, 10, 12, 14, 16)
"""Of ten: how much more certain than the belief equations are taken at most, one after the other."""

_NEWTON_STEPS = 30
_SHORTEST = 1e-9
"""Share of Newton's step below which none is gone."""

_EXCHANGES, _PATIENCE = 500, 3
"""Sets of unknowns held at zero that are tried at most for a step; and how many in which no fewer are wrong before
these are changed one by one."""

_MISSED = 1e-3
"""Root of the change of the negative logarithm of likelihood up to which an unknown may be on the wrong side."""

_DECREMENT = 1e-5
"""Square of Newton's decrement at which a minimum is found."""


@runtime_checkable
class Belief(Protocol):
    """The negative logarithm of how likely unknowns are before the data: convex, and infinite where they cannot be.

    Attributes:
      spread: `(n,)`: how large unknowns are likely to be.
      positive: `(n,)`: which cannot be negative, though they can be zero.
    """

    spread: Tensor
    positive: Tensor

    def value(self, unknowns: Tensor) -> float:
        """Infinite where unknowns, `(n,)`, are impossible for other reasons than their sign."""
        ...

    def derivatives(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient, `(n,)`, and Hessian, `(n, n)`."""
        ...

    def reach(self, unknowns: Tensor, step: Tensor) -> float:
        """How many of a step, `(n,)`, can be gone without coming too close to what is impossible."""
        ...


class LinearEstimate:
    """What linear equations say of unknowns, and how certainly; the size of their noise follows from what they leave.

    Attributes:
      noise: standard deviation of one equation's noise.
      deviation: `(n,)`: of combinations of unknowns, over what it is before the data: near 0 where the data say what it
        is, 1 where they say nothing.
      directions: `(n, n)`: those combinations, one a row, of unknowns over their spread.
    """

    def __init__(self, triangle: Tensor, equations: int, belief: Belief, least_noise: float = _LEAST_NOISE) -> None:
        """Takes the equations in.

        Args:
          triangle: `(m, n + 1)`: `[matrix, right]`, or anything of the same Gram matrix, such as its triangular factor.
          equations: how many there were.
          belief: about the unknowns.
          least_noise: in units of the right sides: none are more exact.
        """
        self._belief, self._spread = belief, belief.spread
        spread = belief.spread
        if len(triangle) < len(spread):
            triangle = torch.cat([triangle, triangle.new_zeros(len(spread) - len(triangle), triangle.shape[1])])
        right = triangle[:, -1]
        left, singular, self.directions = torch.linalg.svd(triangle[:, :-1] * spread, full_matrices=False)
        says = singular > _ROUNDING * singular[0]
        along = left.mT @ right
        unexplained = float((right - left[:, says] @ along[says]).square().sum())
        self.noise = max((unexplained / max(equations - int(says.sum()), 1)) ** 0.5, least_noise)
        self._precision = torch.where(says, singular / self.noise, 0.0).square()
        self._targets = torch.where(says, along / torch.where(says, singular, 1.0), 0.0)
        self.deviation = (1 + self._precision).rsqrt()

    def most_likely(self) -> Tensor:
        """The unknowns, `(n,)`, that equations and belief together make the most likely.

        By Newton steps, each to the minimum of a quadratic function among the unknowns that can be, from no unknowns at
        all, as the equations come to weigh more and more.
        """
        found = torch.zeros_like(self._spread)
        for power in _POWERS:
            found = self._minimise(found, self._precision.clamp_max(10.0**power).sqrt())
        return self._spread * found

    def _minimise(self, scaled: Tensor, certainty: Tensor) -> Tensor:
        """Goes to the minimum of the negative logarithm of likelihood, from unknowns over their spread.

        `certainty`, `(n,)`, is one over the standard deviation of what the directions' equations say.
        """
        spread, belief = self._spread, self._belief
        by_equations = certainty.unsqueeze(-1) * self.directions

        def missed(at: Tensor) -> Tensor:
            return certainty * (self.directions @ at - self._targets)

        def value(at: Tensor) -> float:
            return 0.5 * float(missed(at).square().sum()) + belief.value(spread * at)

        for _ in range(_NEWTON_STEPS):
            gradient, hessian = belief.derivatives(spread * scaled)
            # Both parts are squares of residuals, in whose terms a step loses only half of the digits.
            factor, failed = torch.linalg.cholesky_ex(spread.unsqueeze(-1) * hessian * spread)
            if bool(failed):
                break
            of_belief = torch.linalg.solve_triangular(factor, (spread * gradient).unsqueeze(-1), upper=False)
            rows = torch.cat([by_equations, factor.mT])
            residuals = torch.cat([missed(scaled), of_belief.squeeze(-1)])
            step = _newton_step(scaled, rows, residuals, belief.positive)
            if step is None or (gain := -float(residuals @ (rows @ step))) < _DECREMENT:
                break
            now, moved = value(scaled), scaled
            size = min(1.0, belief.reach(spread * scaled, spread * step))
            while size > _SHORTEST:
                moved = scaled + size * step
                moved = torch.where(belief.positive, moved.clamp_min(0.0), moved)  # But for rounding, it is.
                if value(moved) <= now - 0.1 * size * gain:
                    break
                size /= 2
            if size <= _SHORTEST:
                break
            scaled = moved
        return scaled


def _newton_step(at: Tensor, rows: Tensor, residuals: Tensor, positive: Tensor) -> Tensor | None:
    """The step to the least squares of `residuals + rows @ step` where none of the positive unknowns is negative.

    By block principal pivoting (Judice and Pires, "A block principal pivoting algorithm for large-scale strictly
    monotone linear complementarity problems", 1994). None where rounding hides the belief.
    """
    lengths = rows.norm(dim=0)
    held = positive & (at <= 0) & (residuals @ rows > 0)
    fewest, patience = len(at) + 1, _PATIENCE
    step = torch.zeros_like(at)
    for _ in range(_EXCHANGES):
        step = torch.where(held, -at, 0.0)
        outer, triangle = torch.linalg.qr(rows[:, ~held])
        if not bool(triangle.diagonal().all()):
            return None
        left = outer.mT @ (residuals + rows @ step)
        step[~held] = -torch.linalg.solve_triangular(triangle, left.unsqueeze(-1), upper=True).squeeze(-1)
        negative = ~held & ((at + step) * lengths < -_MISSED)
        wanting = held & ((residuals + rows @ step) @ rows / lengths < -_MISSED)
        wrong = positive & (negative | wanting)
        count = int(wrong.sum())
        if not count:
            break
        if count < fewest:
            fewest, patience = count, _PATIENCE
        elif patience:
            patience -= 1
        else:  # One at a time, by Murty's rule, which always comes to an end.
            wrong = wrong & (torch.arange(len(at)) == int(wrong.nonzero().max()))
        held = held ^ wrong
    return torch.where(positive, (at + step).clamp_min(0.0) - at, step)
