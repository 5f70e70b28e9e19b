"""Horizon error: how far a dynamics model is off after so many physics steps of open-loop prediction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.core.threads import single_threaded
from mosim.data import Trajectories
from mosim.models import DynamicsModel

STANDARD_HORIZONS = (1, 3, 16, 100, 1000)

_BATCH_STATES = 400_000
"""States predicted in one batch of rollouts at most, to bound memory."""


@dataclass(frozen=True, repr=False)
class RolloutErrors:
    """Squared errors of rollouts from the same starts, in raw units squared, for every horizon up to their length.

    Attributes:
      by_start: `(starts, steps)`: mean over dimensions. Infinite where a prediction was not finite.
      by_dimension: `(steps, nq + nv)`: mean over starts.
    """

    by_start: np.ndarray
    by_dimension: np.ndarray

    def __repr__(self) -> str:
        return f"RolloutErrors(starts={self.starts}, steps={self.steps}, mse={self.mse(self.steps):.3g})"

    @property
    def starts(self) -> int:
        """How many rollouts."""
        return self.by_start.shape[0]

    @property
    def steps(self) -> int:
        """How long they are, in physics steps."""
        return self.by_start.shape[1]

    @property
    def diverged(self) -> int:
        """How many starts led to a prediction that is not finite."""
        return int(np.sum(~np.isfinite(self.by_start[:, -1])))

    def diverged_within(self, horizon: int) -> int:
        """How many starts led to a prediction that is not finite at one of the steps 1..horizon."""
        return int(np.sum(~np.isfinite(self.by_start[:, :horizon]).all(axis=1)))

    def mse(self, horizon: int) -> float:
        """The horizon error: over all starts, all steps 1..horizon and all dimensions (the paper's metric)."""
        return float(self.by_start[:, :horizon].mean())

    def mse_at(self, step: int) -> float:
        """The mean squared error at one step alone."""
        return float(self.by_start[:, step - 1].mean())

    def mse_median(self, horizon: int) -> float:
        """The median over starts of the error over steps 1..horizon."""
        return float(np.median(self.by_start[:, :horizon].mean(axis=1)))

    def largest_start_mse(self, horizon: int) -> float:
        """The largest over starts of the error over steps 1..horizon: what the worst start comes to."""
        return float(self.by_start[:, :horizon].mean(axis=1).max())

    def mse_of_dimensions(self, horizon: int) -> np.ndarray:
        """The error over steps 1..horizon of each dimension, of shape `(nq + nv,)`."""
        return self.by_dimension[:horizon].mean(axis=0)


def share_starts(horizons: Sequence[int], longest_episode: int) -> list[list[int]]:
    """Groups horizons that are measured on the same starts, each group in one rollout of its longest.

    Horizons up to half an episode share starts, so that their errors compare and their curve is one curve. A longer one
    has starts of its own, since few places of an episode have so many steps left.
    """
    ordered = sorted(set(horizons))
    short = [horizon for horizon in ordered if horizon <= max(longest_episode // 2, 1)]
    return ([short] if short else []) + [[horizon] for horizon in ordered[len(short) :]]


def draw_starts(trajectories: Trajectories, steps: int, count: int, seed: int) -> np.ndarray:
    """Draws `count` rows of held-out states from which `steps` physics steps remain; all where there are fewer.

    The same seed draws the same starts, whatever the model.

    Raises:
      MosimError: no episode is that long.
    """
    windows = trajectories.windows(steps)
    if not len(windows):
        raise MosimError(
            f"no episode of the dataset has {steps} steps; give a shorter horizon, or collect longer episodes."
        )
    random = np.random.default_rng([seed, steps])
    return np.sort(random.choice(windows, min(count, len(windows)), replace=False))


@torch.no_grad()
def predict(model: DynamicsModel, known: Tensor, actions: np.ndarray) -> Tensor:
    """Predicts open loop from states that are known.

    Args:
      model: predicts.
      known: `(starts, known, state)`: the last is where predictions start, see `DynamicsModel.init`.
      actions: `(starts, known - 1 + steps, nu)`: those between the known states, and one a predicted step.

    Returns:
      `(starts, steps, state)`, in float64.
    """
    # Physics start from the exact truth; a network predicts in its own precision.
    controls = torch.from_numpy(actions).to(known.device, model.like.dtype)
    between = known.shape[1] - 1
    return model.predict(known.to(model.like.dtype), controls[:, :between], controls[:, between:]).double()


def squared_errors(predicted: Tensor, truth: Tensor) -> Tensor:
    """The squared error of every entry; infinite where a prediction is not finite."""
    errors = (predicted - truth).square()
    return torch.where(torch.isfinite(errors), errors, torch.inf)


def running_mean(at: np.ndarray) -> np.ndarray:
    """Errors over steps 1..H for every H, of the errors at each step alone: `(steps,)` both."""
    return np.cumsum(at) / np.arange(1, len(at) + 1)


@single_threaded
@torch.no_grad()
def measure_rollouts(
    model: DynamicsModel,
    trajectories: Trajectories,
    steps: int,
    starts: np.ndarray,
    device: str = "cpu",
    on_batch: Callable[[int], None] = lambda starts: None,
) -> RolloutErrors:
    """Rolls `model` out from each start and compares with the truth.

    A model with a history sees the states before a start, as far as the episode has them.

    Args:
      model: anything that predicts.
      trajectories: the truth.
      steps: physics steps of each rollout.
      starts: rows of `trajectories.states`, from `draw_starts`.
      device: where the model is.
      on_batch: told how many starts each finished batch had.
    """
    motion = trajectories.facts.layout.motion
    by_start, by_dimension = [], np.zeros((steps, trajectories.states.shape[-1]))
    known = np.minimum(trajectories.steps_before(starts) + 1, model.history)
    for history in np.unique(known):
        alike = starts[known == history]
        for batch in np.array_split(alike, max(1, -(-len(alike) * steps // _BATCH_STATES))):
            rows = batch[:, None] + np.arange(1 - history, steps + 1)
            truth = torch.from_numpy(trajectories.states[rows]).to(device, torch.float64)
            predicted = predict(model, truth[:, :history], trajectories.actions[rows[:, :-1]])
            errors = squared_errors(predicted, truth[:, history:])
            by_start.append(errors[..., motion].mean(-1).cpu().numpy())
            by_dimension += errors.sum(0).cpu().numpy()
            on_batch(len(batch))
    return RolloutErrors(np.concatenate(by_start), by_dimension / len(starts))


Measured = Mapping[str, Mapping[int, RolloutErrors]]
"""By model and horizon; horizons that share starts share their errors."""


def horizon_table(system: str, dataset: str, measured: Measured, knowledge: Mapping[str, str]) -> pd.DataFrame:
    """One row a model and horizon; `knowledge` is each model's.

    Columns: `system, model, knowledge, dataset, horizon, mse, mse_at, mse_median, largest_start_mse, diverged, starts`.
    """
    return pd.DataFrame(
        [
            {
                "system": system,
                "model": model,
                "knowledge": knowledge[model],
                "dataset": dataset,
                "horizon": horizon,
                "mse": errors.mse(horizon),
                "mse_at": errors.mse_at(horizon),
                "mse_median": errors.mse_median(horizon),
                "largest_start_mse": errors.largest_start_mse(horizon),
                "diverged": errors.diverged_within(horizon),
                "starts": errors.starts,
            }
            for model, horizons in measured.items()
            for horizon, errors in horizons.items()
        ]
    )


def horizon_curve(system: str, dataset: str, measured: Measured) -> pd.DataFrame:
    """One row a model and physics step: `system, model, dataset, step, mse, mse_at, starts`.

    Each step is taken from the shortest rollouts that reach it, so that the curve goes through every row of
    `horizon_table`; `starts` says where one set of starts ends and the next begins.
    """
    rows = []
    for model, horizons in measured.items():
        done = 0
        for errors in horizons.values():
            at = errors.by_start.mean(axis=0)
            running = running_mean(at)
            rows += [
                {
                    "system": system,
                    "model": model,
                    "dataset": dataset,
                    "step": step + 1,
                    "mse": running[step],
                    "mse_at": at[step],
                    "starts": errors.starts,
                }
                for step in range(done, errors.steps)
            ]
            done = max(done, errors.steps)
    return pd.DataFrame(rows)


def dimension_table(system: str, dataset: str, names: Sequence[str], measured: Measured) -> pd.DataFrame:
    """One row a model, horizon and state dimension: `system, model, dataset, horizon, dimension, mse`."""
    return pd.DataFrame(
        [
            {
                "system": system,
                "model": model,
                "dataset": dataset,
                "horizon": horizon,
                "dimension": name,
                "mse": float(value),
            }
            for model, horizons in measured.items()
            for horizon, errors in horizons.items()
            for name, value in zip(names, errors.mse_of_dimensions(horizon), strict=True)
        ]
    )
