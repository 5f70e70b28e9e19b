"""Gradients kept in bounds on their way back through time.

A product of many Jacobians grows without bound where a motion is chaotic or a contact is stiff: the first actions of a
window would then decide the sum over all, and a few environments the sum over the batch. So at every action, the
gradient of each environment is bounded by what it typically is at the end of the window (AHAC, arXiv 2405.17784, cuts
the windows of such environments instead).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class GradientGuard:
    """Bounds the gradients of one quantity, action by action back through a window.

    The measure is the median norm over the environments at the window's last action, where nothing has grown yet.
    """

    def __init__(self, clip: float, cut: float) -> None:
        """Sets the bounds.

        Args:
          clip: norm, in medians, that larger gradients are scaled to.
          cut: norm, in medians, beyond which a row's gradient is set to zero, as it is where it is not finite.
        """
        self._clip, self._cut = clip, cut
        self._median: Tensor | None = None

    def __call__(self, value: Tensor) -> Tensor:
        """The value itself, `(n, ...)`, a row an environment; its gradient is bounded."""
        return _Guard.apply(value, self.bounded) if value.requires_grad else value  # pyright: ignore[reportReturnType]

    def bounded(self, gradient: Tensor) -> Tensor:
        """A gradient within the bounds, `(n, ...)`."""
        norms = gradient.flatten(1).norm(dim=1)
        useful = torch.isfinite(norms) & (norms > 0)
        if not useful.any():
            return torch.zeros_like(gradient)
        if self._median is None:
            self._median = norms[useful].median()
        kept = useful & (norms <= self._cut * self._median)
        scale = torch.where(kept, (self._clip * self._median / norms).clamp(max=1.0), 0.0)
        shape = (-1, *(1 for _ in range(gradient.ndim - 1)))
        return torch.where(kept.reshape(shape), gradient, 0.0) * scale.nan_to_num().reshape(shape)


class _Guard(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, bounded: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.bounded = bounded
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return ctx.bounded(gradient), None
