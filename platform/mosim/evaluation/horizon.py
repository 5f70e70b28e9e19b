"""Horizon error: how far a dynamics model is off after so many physics steps of open-loop prediction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from mosim.dynamics import DynamicsModel
from mosim.errors import MosimError
from mosim.trajectories import Trajectories

STANDARD_HORIZONS = (1, 3, 16, 100, 1000)

_BATCH_STATES = 400_000
"""States predicted in one batch of rollouts at most, to bound memory."""


@dataclass(frozen=True, repr=False)
class HorizonErrors:
    """Squared errors of rollouts over one horizon, in raw state units squared.

    Attributes:
      horizon: physics steps predicted.
      by_step: `(horizon,)`: mean over starts and dimensions, at each step.
      by_start: `(starts,)`: mean over steps and dimensions.
      by_dimension: `(nq + nv,)`: mean over starts and steps.
    """

    horizon: int
    by_step: np.ndarray
    by_start: np.ndarray
    by_dimension: np.ndarray

    def __repr__(self) -> str:
        return f"HorizonErrors(horizon={self.horizon}, starts={len(self.by_start)}, mse={self.mse:.3g})"

    @property
    def mse(self) -> float:
        """The horizon error: over all starts, all steps 1..horizon and all dimensions (the paper's metric)."""
        return float(self.by_step.mean())

    @property
    def mse_at(self) -> float:
        """The mean squared error at the last step alone."""
        return float(self.by_step[-1])

    @property
    def mse_median(self) -> float:
        """The median over starts of the error over all steps."""
        return float(np.median(self.by_start))

    @property
    def diverged(self) -> int:
        """How many starts led to a prediction that is not finite."""
        return int(np.sum(~np.isfinite(self.by_start)))


def draw_starts(trajectories: Trajectories, horizon: int, count: int, seed: int) -> np.ndarray:
    """Draws `count` rows of held-out states from which `horizon` steps remain; all of them where there are fewer.

    The same seed draws the same starts, whatever the model.

    Raises:
      MosimError: no episode is that long.
    """
    windows = trajectories.windows(horizon)
    if not len(windows):
        raise MosimError(
            f"no episode of the dataset has {horizon} steps; give a shorter horizon or collect longer episodes."
        )
    random = np.random.default_rng([seed, horizon])
    return np.sort(random.choice(windows, min(count, len(windows)), replace=False))


@torch.no_grad()
def measure_horizon(
    model: DynamicsModel,
    trajectories: Trajectories,
    horizon: int,
    starts: np.ndarray,
    device: str = "cpu",
    on_batch: Callable[[int], None] = lambda starts: None,
) -> HorizonErrors:
    """Rolls `model` out from each start and compares with the truth.

    Args:
      model: anything that predicts.
      trajectories: the truth.
      horizon: physics steps.
      starts: rows of `trajectories.states`, from `draw_starts`.
      device: where the model is.
      on_batch: told how many starts each finished batch had.

    Returns:
      The errors; infinite where a prediction was not finite.
    """
    size = trajectories.states.shape[-1]
    # Physics start from the exact truth; a network predicts in its own precision.
    precision = next((weight.dtype for weight in model.parameters()), torch.float64)
    by_step, by_dimension, by_start = np.zeros(horizon), np.zeros(size), []
    for batch in np.array_split(starts, max(1, -(-len(starts) * horizon // _BATCH_STATES))):
        rows = batch[:, None] + np.arange(horizon + 1)
        truth = torch.from_numpy(trajectories.states[rows]).to(device, torch.float64)
        actions = torch.from_numpy(trajectories.actions[rows[:, :-1]]).to(device, precision)
        predicted = model.rollout(truth[:, 0].to(precision), actions).double()
        errors = (predicted - truth[:, 1:]).square()
        errors = torch.where(torch.isfinite(errors), errors, torch.inf)
        by_step += errors.mean(-1).sum(0).cpu().numpy()
        by_dimension += errors.mean(1).sum(0).cpu().numpy()
        by_start.append(errors.mean((1, 2)).cpu().numpy())
        on_batch(len(batch))
    return HorizonErrors(horizon, by_step / len(starts), np.concatenate(by_start), by_dimension / len(starts))


def horizon_table(system: str, dataset: str, measured: Mapping[str, Sequence[HorizonErrors]]) -> pd.DataFrame:
    """One row a model and horizon: `system, model, dataset, horizon, mse, mse_at, mse_median, starts`."""
    return pd.DataFrame(
        [
            {
                "system": system,
                "model": model,
                "dataset": dataset,
                "horizon": errors.horizon,
                "mse": errors.mse,
                "mse_at": errors.mse_at,
                "mse_median": errors.mse_median,
                "starts": len(errors.by_start),
            }
            for model, horizons in measured.items()
            for errors in horizons
        ]
    )


def horizon_curve(system: str, dataset: str, measured: Mapping[str, Sequence[HorizonErrors]]) -> pd.DataFrame:
    """One row a model and physics step: `system, model, dataset, step, mse, mse_at, starts`.

    Each step is taken from the shortest measured horizon that reaches it, so that the curve goes through every row of
    `horizon_table`; `starts` says where one ends and the next begins.
    """
    rows = []
    for model, horizons in measured.items():
        done = 0
        for errors in sorted(horizons, key=lambda errors: errors.horizon):
            running = np.cumsum(errors.by_step) / np.arange(1, errors.horizon + 1)
            rows += [
                {
                    "system": system,
                    "model": model,
                    "dataset": dataset,
                    "step": step + 1,
                    "mse": running[step],
                    "mse_at": errors.by_step[step],
                    "starts": len(errors.by_start),
                }
                for step in range(done, errors.horizon)
            ]
            done = errors.horizon
    return pd.DataFrame(rows)


def dimension_table(
    system: str, dataset: str, names: Sequence[str], measured: Mapping[str, Sequence[HorizonErrors]]
) -> pd.DataFrame:
    """One row a model, horizon and state dimension: `system, model, dataset, horizon, dimension, mse`."""
    return pd.DataFrame(
        [
            {
                "system": system,
                "model": model,
                "dataset": dataset,
                "horizon": errors.horizon,
                "dimension": name,
                "mse": float(value),
            }
            for model, horizons in measured.items()
            for errors in horizons
            for name, value in zip(names, errors.by_dimension, strict=True)
        ]
    )
