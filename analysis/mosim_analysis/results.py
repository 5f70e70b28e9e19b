"""The results of an experiment as pandas frames, whoever logged them: a run, a study, a sweep, or single commands."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mosim_analysis import metric_names
from mosim_analysis.errors import AnalysisError
from mosim_analysis.grouping import group_runs
from mosim_analysis.merging import Merged, merge
from mosim_analysis.store import Progress, Store, finite_or_infinite

_DIMENSION = re.compile(r"state_mse_(\d+)/(.+)")
_RETURNS = {
    metric_names.RETURN_SIMULATED: "simulated",
    metric_names.RETURN_TRUE: "true",
    metric_names.WALL_SECONDS: "seconds",
}
_TRAINING = {
    metric_names.LOSS: "loss",
    metric_names.STAGE: "stage",
    metric_names.SAMPLES: "samples",
    metric_names.TRAIN_SECONDS: "seconds",
    metric_names.validation_error(): "error",
}
_EXPECTED = {
    "run": ("curves", "training", "returns"),
    "train": ("training",),
    "evaluate": ("curves",),
    "study run": ("curves", "training"),
    "trial": ("curves", "training"),
    "zero-shot": ("returns",),
}
"""By what a run is, the frames that it should have rows in, once it has ended."""

_SAID = {"curves": "horizon curve", "training": "losses", "returns": "returns"}


@dataclass(frozen=True)
class Results:
    """An experiment.

    A row's `run` is the MLflow id of what a user calls one run: `mosim run` with all its phases, a run of a study, a
    trial of a sweep, a training together with its evaluation.

    Attributes:
      runs: a row a run, by its id: `name`, `task`, `group`, `seed` (None where it has none), `phase`, `sweep` (of a
        trial), `status` (MLflow's), `failure`, `missing` (what it should have logged and has not), `started`,
        `speed` (physics steps predicted a second), `random_return`, `knowledge` (how much the simulator is told of its
        robot: arrays, geometry or tree; empty where it is not known).
      parameters: a row a run; a column each parameter, and each of the tags `model.structure`, `model.knowledge`,
        `dataset.id` and `variant`; missing where it is not set.
      curves: `run, model, step, mse`; baselines too, as models of `names.BASELINES`.
      dimensions: `run, dimension, horizon, mse`.
      training: `run, step, stage, loss, samples, seconds, error`; nan where a report does not have it; the error is
        that at `metric_names.COST_HORIZON`, on validation episodes.
      returns: `run, policy, step, simulated, true, seconds`.
    """

    runs: pd.DataFrame
    parameters: pd.DataFrame
    curves: pd.DataFrame
    dimensions: pd.DataFrame
    training: pd.DataFrame
    returns: pd.DataFrame

    def labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame of these with the columns `name`, `task`, `group`, `seed` and `sweep` of its runs."""
        columns = ("name", "task", "group", "seed", "sweep")
        return frame.assign(**{column: frame["run"].map(self.runs[column]) for column in columns}).reset_index(
            drop=True
        )


def read_results(
    store: Store,
    experiment: str,
    *,
    only: Sequence[str] = (),
    group_by: str | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Results:
    """Reads an experiment.

    Args:
      store: where it is.
      experiment: its name.
      only: ids of runs, or the beginnings of ids, or names; a study's or a sweep's stands for its runs.
      group_by: a parameter or a tag; by default runs are grouped that differ in nothing but the seed, and a sweep's
        trials together.
      on_progress: see `Progress`.

    Raises:
      AnalysisError: there is no such experiment, run, or parameter, or the experiment is empty.
    """
    merged = merge(store.runs(experiment), only)
    if not merged:
        raise AnalysisError(f"experiment {experiment!r} of {store.tracking_uri} has no runs yet.")
    parts = [part for each in merged for part in each.parts]
    owners = {part.run.info.run_id: each.id for each in merged for part in each.parts}
    policies = {part.run.info.run_id: part.policy for each in merged for part in each.parts}
    histories = store.histories([part.run for part in parts], _wanted, on_progress)
    histories["policy"] = histories["run"].map(policies)
    histories["part"] = histories["run"]
    histories["run"] = histories["run"].map(owners)
    frames = {
        "curves": _curves(histories),
        "dimensions": _dimensions(merged),
        "training": _training(histories),
        "returns": _returns(histories),
    }
    runs = pd.DataFrame([_row(each, frames) for each in merged]).set_index("run")
    parameters = pd.DataFrame([each.parameters for each in merged], index=runs.index)
    runs["group"] = group_runs(runs, parameters, group_by)
    return Results(runs=runs, parameters=parameters, **frames)


def _wanted(metric: str, last: float) -> bool:
    # Whose last stage is the first was never in another.
    return (
        metric.startswith(metric_names.HORIZON_CURVE)
        or metric in _RETURNS
        or (metric in _TRAINING and (metric, last) != (metric_names.STAGE, 0))
    )


def _curves(histories: pd.DataFrame) -> pd.DataFrame:
    rows = histories[histories["metric"].str.startswith(metric_names.HORIZON_CURVE)]
    rows = rows.assign(model=rows["metric"].str.removeprefix(metric_names.HORIZON_CURVE)).rename(
        columns={"value": "mse"}
    )
    return rows[["run", "model", "step", "mse"]].reset_index(drop=True)


def _dimensions(merged: Sequence[Merged]) -> pd.DataFrame:
    rows = [
        (each.id, found[2], int(found[1]), value)
        for each in merged
        for part in each.parts
        for metric, value in part.run.data.metrics.items()
        if (found := _DIMENSION.fullmatch(metric))
    ]
    frame = pd.DataFrame(rows, columns=["run", "dimension", "horizon", "mse"])
    return frame.assign(mse=finite_or_infinite(frame["mse"]))


def _training(histories: pd.DataFrame) -> pd.DataFrame:
    wide = _wide(histories, _TRAINING, ["run", "step"])
    wide["stage"] = wide["stage"].where(wide.groupby("run")["stage"].transform("count") > 0, 0.0)
    return wide[["run", "step", "stage", "loss", "samples", "seconds", "error"]]


def _returns(histories: pd.DataFrame) -> pd.DataFrame:
    evaluated = histories[histories["part"].isin(histories.loc[histories["metric"].isin(list(_RETURNS)[:2]), "part"])]
    wide = _wide(evaluated, _RETURNS, ["run", "policy", "step"])
    wide = wide[["run", "policy", "step", "simulated", "true", "seconds"]].dropna(subset=["true"])
    # Trainings say their last evaluation again with every report.
    said = wide.groupby(["run", "policy"])[["simulated", "true"]]
    return wide[(wide[["simulated", "true"]] != said.shift()).any(axis=1)].reset_index(drop=True)


def _wide(histories: pd.DataFrame, columns: Mapping[str, str], by: list[str]) -> pd.DataFrame:
    """A column for each of some metrics, a row for each step."""
    rows = histories[histories["metric"].isin(list(columns))]
    rows = rows.assign(column=rows["metric"].map(columns)).drop_duplicates([*by, "column"], keep="last")
    wide = rows.pivot(index=by, columns="column", values="value").reset_index()
    return wide.reindex(columns=[*by, *dict.fromkeys(columns.values())]).sort_values(by, ignore_index=True)


def _row(each: Merged, frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """A row of `Results.runs`, all but the group."""
    metrics = {name: value for part in each.parts for name, value in part.run.data.metrics.items()}
    expected = _EXPECTED.get(each.phase, ()) if each.status == "FINISHED" and not each.baselines else ()
    missing = [_SAID[frame] for frame in expected if not (frames[frame]["run"] == each.id).any()]
    return {
        "run": each.id,
        "name": each.name,
        "task": each.task,
        "seed": each.seed,
        "phase": each.phase,
        "variant": each.variant,
        "knowledge": each.parameters.get("model.knowledge", ""),
        "sweep": each.sweep,
        "baselines": each.baselines,
        "status": each.status,
        "failure": each.failure,
        "missing": ", ".join(missing),
        "started": each.started,
        "speed": finite_or_infinite([metrics.get(metric_names.ROLLOUT_SPEED, np.nan)])[0],
        "random_return": metrics.get("return_true.random", np.nan),
    }
