"""Calibration: whether a model's uncertainty tells how large its errors are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from mosim.core.threads import single_threaded
from mosim.data import Trajectories
from mosim.models import LearnedModel

COVERED = 2.0
"""Errors of at most so many times the uncertainty are covered."""


@dataclass(frozen=True, repr=False)
class Calibration:
    """Uncertainties and errors of rollouts, at every step.

    Attributes:
      uncertainty: `(starts, steps)`, as `DynamicsModel.uncertainty`.
      error: `(starts, steps)`, as `LearnedModel.distance` from the truth; infinite where a prediction was not finite.
    """

    uncertainty: np.ndarray
    error: np.ndarray

    def __repr__(self) -> str:
        starts, steps = self.error.shape
        return f"Calibration(starts={starts}, steps={steps}, rank_correlation={self.rank_correlation(steps):.2f})"

    def coverage(self, step: int) -> float:
        """The share of starts whose error at a step is at most `COVERED` times the uncertainty."""
        return float((self.error[:, step - 1] <= COVERED * self.uncertainty[:, step - 1]).mean())

    def rank_correlation(self, step: int) -> float:
        """Spearman's correlation, over starts, of the uncertainty and the error at a step; nan for fewer than 3."""
        if len(self.error) < 3:
            return float("nan")
        uncertainty, error = (pd.Series(values[:, step - 1]).rank() for values in (self.uncertainty, self.error))
        with np.errstate(invalid="ignore", divide="ignore"):  # Where all are alike, it is nan.
            return float(np.corrcoef(uncertainty, error)[0, 1])

    def table(self) -> pd.DataFrame:
        """One row a step: `step, uncertainty, error, coverage, rank_correlation, starts`; medians over starts."""
        starts, steps = self.error.shape
        return pd.DataFrame(
            {
                "step": np.arange(1, steps + 1),
                "uncertainty": np.median(self.uncertainty, axis=0),
                "error": np.median(self.error, axis=0),
                "coverage": [self.coverage(step) for step in range(1, steps + 1)],
                "rank_correlation": [self.rank_correlation(step) for step in range(1, steps + 1)],
                "starts": starts,
            }
        )


@single_threaded
@torch.no_grad()
def measure_calibration(
    model: LearnedModel,
    trajectories: Trajectories,
    steps: int,
    starts: np.ndarray,
    device: str = "cpu",
) -> Calibration | None:
    """Rolls a model out from each start, and takes its uncertainty and its error at every step.

    Args:
      model: predicts. Each rollout begins with as many known states as the episode has, at most `model.history`.
      trajectories: the truth.
      steps: physics steps of each rollout.
      starts: rows of `trajectories.states`, from `draw_starts`.
      device: where the model is.

    Returns:
      None where the model has no uncertainty.
    """
    known = np.minimum(trajectories.steps_before(starts) + 1, model.history)
    uncertainties, errors = [], []
    for history in np.unique(known):
        alike = starts[known == history]
        rows = alike[:, None] + np.arange(1 - history, steps + 1)
        states = torch.from_numpy(trajectories.states[rows]).to(device, model.like.dtype)
        actions = torch.from_numpy(trajectories.actions[rows[:, :-1]]).to(device, model.like.dtype)
        carry = model.init(states[:, :history], actions[:, : history - 1])
        for step in range(history - 1, history - 1 + steps):
            carry = model.step(carry, actions[:, step])
            uncertainty = model.uncertainty(carry)
            if uncertainty is None:
                return None
            uncertainties.append(uncertainty)
            errors.append(model.distance(model.state(carry), states[:, step + 1]))
    return Calibration(*(_by_start(values, steps) for values in (uncertainties, errors)))


def _by_start(values: list[torch.Tensor], steps: int) -> np.ndarray:
    """Values of the batches, a step each, as `(starts, steps)`."""
    batches = [torch.stack(values[first : first + steps], dim=1) for first in range(0, len(values), steps)]
    return torch.cat(batches).double().nan_to_num(nan=torch.inf).cpu().numpy()
