"""The most likely of many unknowns, given noisy linear equations and a convex belief about them."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

_ROUNDING = 1e-12
"""Share of the largest singular value below which equations say nothing."""

_LEAST_NOISE = 1e-9

_POWERS = (*range(-3, 7), 6, 6, 6)
"""Of ten: how much more certain than the belief equations are taken at most, one after the other. Double precision can
add both up with the last of them."""

_NEWTON_STEPS = 30
_SHORTEST = 1e-9
"""Share of Newton's step below which none is gone."""

_DECREMENT = 1e-6
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

        By projected Newton steps (Bertsekas, "Projected Newton methods for optimization problems with simple
        constraints", 1982), from no unknowns at all, as the equations come to weigh more and more.
        """
        found, targets = torch.zeros_like(self._spread), self._targets.clone()
        certain = self._precision > 10.0 ** _POWERS[-1]
        for before, power in zip((None, *_POWERS), _POWERS, strict=False):
            if power == before:  # What is more certain than could be taken is asked for by as much more as it lacks.
                targets += torch.where(certain, self._targets - self.directions @ found, 0.0)
            found = self._minimise(found, self._precision.clamp_max(10.0**power), targets)
        return self._spread * found

    def _minimise(self, scaled: Tensor, precision: Tensor, targets: Tensor) -> Tensor:
        """Goes to the minimum of the negative logarithm of likelihood, from unknowns over their spread."""
        spread, directions, belief = self._spread, self.directions, self._belief
        curvature = directions.mT @ (precision.unsqueeze(-1) * directions)

        def value(at: Tensor) -> float:
            rest = directions @ at - targets
            return 0.5 * float((precision * rest.square()).sum()) + belief.value(spread * at)

        for _ in range(_NEWTON_STEPS):
            gradient, hessian = belief.derivatives(spread * scaled)
            gradient = spread * gradient + directions.mT @ (precision * (directions @ scaled - targets))
            hessian = curvature + spread.unsqueeze(-1) * hessian * spread
            at_zero = belief.positive & (scaled <= 0)
            step = _newton_step(gradient, hessian, at_zero)
            if step is None or -float(gradient @ step) < _DECREMENT:
                break
            now, moved = value(scaled), scaled
            size = min(1.0, belief.reach(spread * scaled, spread * step))
            while size > _SHORTEST:
                moved = scaled + size * step
                moved = torch.where(belief.positive, moved.clamp_min(0.0), moved)
                if value(moved) <= now - 0.1 * max(float(gradient @ (scaled - moved)), 0.0):
                    break
                size /= 2
            if size <= _SHORTEST:
                break
            scaled = moved
        return scaled


def _newton_step(gradient: Tensor, hessian: Tensor, at_zero: Tensor) -> Tensor | None:
    """The step of unknowns, `(n,)`, of which none at zero becomes negative; None where rounding hides the belief."""
    held = at_zero & (gradient > 0)
    while True:
        kept = hessian.masked_fill(held | held.unsqueeze(-1), 0.0) + torch.diag(held.to(hessian))
        factor, failed = torch.linalg.cholesky_ex(kept)
        if bool(failed):
            return None
        step = -torch.cholesky_solve(gradient.masked_fill(held, 0.0).unsqueeze(-1), factor).squeeze(-1)
        blocked = at_zero & (step < 0)
        if not bool(blocked.any()):
            return step
        held = held | blocked  # Cutting their steps off afterwards could undo what the others gain.
