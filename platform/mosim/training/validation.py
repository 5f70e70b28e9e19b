"""Errors on the episodes that are kept from training."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from mosim.core.threads import single_threaded
from mosim.models import LearnedModel
from mosim.training.windows import WindowSampler

VALIDATION_HORIZON = 16
"""Physics steps whose horizon error is reported at the end of a stage."""

VALIDATION_WINDOWS = 256
"""Windows that are predicted, evenly spread over the episodes."""


class WindowErrors(NamedTuple):
    """The horizon error at `VALIDATION_HORIZON` over windows, in raw units squared."""

    mean: float
    median: float

    @property
    def both(self) -> float:
        """The geometric mean of both: a few windows decide the one, and none of these the other."""
        return math.sqrt(self.mean * self.median)


class Validation:
    """The horizon error of a model, and that of persistence beside it."""

    def __init__(self, windows: WindowSampler) -> None:
        """Measures on these windows."""
        self._windows = windows

    @single_threaded
    @torch.no_grad()
    def horizon_errors(self, model: LearnedModel, horizons: Sequence[int]) -> dict[int, float]:
        """The horizon error, in raw units squared.

        Args:
          model: predicts.
          horizons: in physics steps, 1 or more; those longer than the episodes are measured as far as these go.
        """
        errors = self._errors(model, max(horizons)).mean(0)
        return {horizon: errors[:horizon].mean().item() for horizon in horizons}

    @single_threaded
    @torch.no_grad()
    def window_errors(self, model: LearnedModel) -> WindowErrors:
        """The horizon error of a model at `VALIDATION_HORIZON`, or as far as the episodes go."""
        errors = self._errors(model, VALIDATION_HORIZON).mean(1)
        return WindowErrors(errors.mean().item(), errors.median().item())

    def _errors(self, model: LearnedModel, longest: int) -> torch.Tensor:
        """Squared errors, `(windows, steps)`, means over dimensions."""
        known = model.history
        longest = min(longest, self._windows.longest - (known - 1))
        states, actions = self._windows.spread(VALIDATION_WINDOWS, longest + known - 1)
        predicted = model.predict(states[:, :known], actions[:, : known - 1], actions[:, known - 1 :])
        return (predicted - states[:, known:])[..., model.facts.layout.motion].square().mean(-1)

    def persistence_error(self, model: LearnedModel) -> float:
        """The horizon error at `VALIDATION_HORIZON` of predicting no change, from the states where a model starts."""
        known = model.history
        longest = min(VALIDATION_HORIZON + known - 1, self._windows.longest)
        states, _ = self._windows.spread(VALIDATION_WINDOWS, longest)
        change = (states[:, known - 1 : known] - states[:, known:])[..., model.facts.layout.motion]
        return change.square().mean().item()
