"""Errors on the episodes that are kept from training."""

from collections.abc import Sequence

import torch

from mosim.core.threads import single_threaded
from mosim.models import LearnedModel
from mosim.training.windows import WindowSampler

VALIDATION_HORIZON = 16
"""Physics steps whose horizon error is reported at the end of a stage."""

VALIDATION_WINDOWS = 256
"""Windows that are predicted, evenly spread over the episodes."""


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
        known = model.history
        longest = min(max(horizons), self._windows.longest - (known - 1))
        states, actions = self._windows.spread(VALIDATION_WINDOWS, longest + known - 1)
        predicted = model.predict(states[:, :known], actions[:, : known - 1], actions[:, known - 1 :])
        errors = (predicted - states[:, known:])[..., model.facts.layout.motion].square().mean(dim=(0, 2))
        return {horizon: errors[:horizon].mean().item() for horizon in horizons}

    def persistence_error(self, model: LearnedModel) -> float:
        """The horizon error at `VALIDATION_HORIZON` of predicting no change, from the states where a model starts."""
        known = model.history
        longest = min(VALIDATION_HORIZON + known - 1, self._windows.longest)
        states, _ = self._windows.spread(VALIDATION_WINDOWS, longest)
        change = (states[:, known - 1 : known] - states[:, known:])[..., model.facts.layout.motion]
        return change.square().mean().item()
