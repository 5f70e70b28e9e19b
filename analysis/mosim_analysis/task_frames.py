"""The frames that the figures of one task take, from those of an experiment."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mosim_analysis import names
from mosim_analysis.differences import typed, varied
from mosim_analysis.results import Results

SHOWN_HORIZONS = (16, 100, 1000)

COSTS = ("samples", "seconds")


class SweepFrame(NamedTuple):
    """The trials of a sweep.

    Attributes:
      name: of the sweep.
      trials: see `mosim_analysis.figures.parallel_coordinates`; `mse` is nan for trials without an error.
      settings: the columns of `trials` that differ between them.
    """

    name: str
    trials: pd.DataFrame
    settings: list[str]


@dataclass(frozen=True)
class TaskFrames:
    """What is known of one task.

    Attributes:
      task: its name.
      runs: rows of `Results.runs`, with `error_16`, `error_100` and `error_1000`, and `true_return` and
        `simulated_return`, the last ones.
      parameters: rows of `Results.parameters`.
      horizon: at which errors are shown where there is room for one: 100 if it was measured.
      curves, dimensions, training, returns: see the figures; `training` has a column
        `stage_name`.
    """

    task: str
    runs: pd.DataFrame
    parameters: pd.DataFrame
    horizon: int
    curves: pd.DataFrame
    dimensions: pd.DataFrame
    training: pd.DataFrame
    returns: pd.DataFrame

    @property
    def speeds(self) -> pd.DataFrame:
        """For `error_over_speed`: runs that have logged both, and whose error is finite."""
        rows = self.runs[self.runs["group"].notna()].assign(mse=lambda runs: runs[f"error_{self.horizon}"])
        usable = (rows["speed"] > 0) & (rows["mse"] > 0) & np.isfinite(rows["mse"])
        return rows[usable].rename_axis("run").reset_index()

    @property
    def random_return(self) -> float:
        """Of random actions; nan where no run has logged it."""
        return float(self.runs["random_return"].median())

    def costs(self, cost: str) -> pd.DataFrame:
        """For `error_over_cost`: the rows that have both an error and this cost."""
        rows = self.training
        return rows[(rows["error"] > 0) & np.isfinite(rows["error"]) & (rows[cost] > 0)]

    def sweeps(self) -> Iterator[SweepFrame]:
        """One after the other, in the order in which they began."""
        trials = self.runs[self.runs["sweep"] != ""]
        for sweep, rows in trials.groupby("sweep", sort=False):
            own = typed(self.parameters.loc[rows.index])
            follows = ("model.structure", "model.knowledge")  # From other settings.
            settings = [name for name in varied(own) if name not in (*names.NOT_SETTINGS, *follows)]
            frame = own[settings].assign(name=rows["name"], group=rows["group"], mse=rows[f"error_{self.horizon}"])
            yield SweepFrame(str(sweep), frame.rename_axis("run").reset_index(), settings)


def task_frames(results: Results) -> list[TaskFrames]:
    """The frames of every task of an experiment, in the order in which its runs began."""
    return [_of_task(results, str(task)) for task in results.runs["task"].drop_duplicates()]


def error_at(curves: pd.DataFrame, horizon: int) -> pd.Series:
    """Each run's horizon error at a horizon, of the simulator itself, by run."""
    rows = curves[(curves["step"] == horizon) & ~curves["model"].isin(list(names.BASELINES))]
    return rows.drop_duplicates("run").set_index("run")["mse"]


def _of_task(results: Results, task: str) -> TaskFrames:
    runs = results.runs[results.runs["task"] == task]

    def of_task(frame: pd.DataFrame) -> pd.DataFrame:
        return results.labelled(frame[frame["run"].isin(runs.index)])

    curves, training, returns = of_task(results.curves), of_task(results.training), of_task(results.returns)
    errors = {f"error_{horizon}": error_at(curves, horizon).reindex(runs.index) for horizon in SHOWN_HORIZONS}
    last = returns[returns["policy"] == names.ZERO_SHOT].sort_values("step").groupby("run").tail(1).set_index("run")
    last = last[["true", "simulated"]].reindex(runs.index)
    stages = _stage_names(training, results.parameters)
    dimensions = of_task(results.dimensions)
    return TaskFrames(
        task=task,
        runs=runs.assign(**errors, true_return=last["true"], simulated_return=last["simulated"]),
        parameters=results.parameters.loc[runs.index],
        horizon=next((each for each in (100, 16, 1000) if errors[f"error_{each}"].notna().any()), 100),
        curves=curves,
        dimensions=dimensions[dimensions["group"].notna()],
        training=training.assign(stage_name=stages),
        returns=returns,
    )


def _stage_names(training: pd.DataFrame, parameters: pd.DataFrame) -> list[str]:
    """The name of the stage of each row, where the parameters say it."""
    known = {
        (run, int(column.split(".")[1])): name
        for column in map(str, parameters)
        if column.startswith("stages.") and column.endswith(".name")
        for run, name in parameters[column].dropna().items()
    }
    stages = training["stage"].fillna(-1).astype(int)
    return [known.get(key, "") for key in zip(training["run"], stages, strict=True)]
