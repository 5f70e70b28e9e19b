"""What models share that read a window of the last states and actions."""

import abc

import torch
from torch import Tensor

from mosim.core.shapes import Errors, States, Window, WindowActions
from mosim.models.arrays.array_model import ArrayModel
from mosim.models.learned import Mean


class WindowModel(ArrayModel, abc.ABC):
    """A model with memory, trained on windows of `history` known states and `horizon` that it predicts."""

    @abc.abstractmethod
    def foretold(self, states: States, actions: WindowActions) -> States:
        """Predicts one step from each true state of windows, knowing those of the window before it.

        Args:
          states: `(batch, n, state_size)`.
          actions: `(batch, n, nu)`, taken in them.

        Returns:
          The state after each, `(batch, n, state_size)`.
        """

    def loss(self, states: Window, actions: WindowActions, mean: Mean) -> tuple[Tensor, Errors]:
        """See `LearnedModel`: one step from each known state, and open loop beyond them."""
        known = self.history
        predicted = self.foretold(states[:, :known], actions[:, :known])
        if states.shape[1] > known + 1:
            beyond = self.predict(states[:, :known], actions[:, : known - 1], actions[:, known - 1 :])
            predicted = torch.cat([predicted[:, :-1], beyond], dim=1)
        errors = self.deviation(predicted, states[:, 1:])
        return mean(errors), errors
