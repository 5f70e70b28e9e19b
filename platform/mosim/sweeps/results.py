"""What a sweep has come to: a result a trial, the best of them, and the table of all."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from ray.train import Checkpoint
from ray.tune.experiment import Trial

from mosim.files import atomic_path
from mosim.storage import Folder
from mosim.sweeps.config import Sweep
from mosim.sweeps.news import failure_of, own_metrics
from mosim.sweeps.reports import CURVE, FAILURE, FINISHED, TUNE_FOLDER, trial_folder
from mosim.sweeps.space import Draw
from mosim.systems import Frozen

TRIALS_FILE = "trials.csv"

_REPORTS = "result.json"
"""Of a trial's folder: what Tune's JSON logger writes, a report a line."""

Status = Literal["finished", "stopped early", "failed", "unfinished"]


class TrialResult(Frozen):
    """What came of a trial.

    Attributes:
      trial: Tune's id.
      status: `stopped early` by the scheduler, or by the sweep's budget; `unfinished` where the sweep was interrupted.
      draw: its settings; under pbt, its last ones.
      report: its last report; empty before the first.
      failure: why it failed.
      checkpoint: where its last checkpoint lies, a path or URI; None before the first.
    """

    trial: str
    status: Status
    draw: Draw
    report: dict[str, Any] = Field(default={})
    failure: str = ""
    checkpoint: str | None = None

    def score(self, sweep: Sweep) -> tuple[float, ...]:
        """The sweep's metrics, each turned so that less is better; infinite where there is none."""
        signs = (1 if mode == "min" else -1 for mode in sweep.modes)
        values = (self.report.get(name) for name in sweep.metric)
        return tuple(
            math.inf if value is None or math.isnan(value) else sign * value
            for sign, value in zip(signs, values, strict=True)
        )


def result_of(trial: Trial) -> TrialResult:
    """The result of one of Tune's trials."""
    report = own_metrics(trial.last_result or {})
    failure = str(report.get(FAILURE) or "")
    if trial.status == Trial.ERROR:
        failure = failure_of(trial.get_error())
    status: Status = "unfinished"
    if failure:
        status = "failed"
    elif trial.status == Trial.TERMINATED:
        status = "finished" if report.get(FINISHED) else "stopped early"
    return TrialResult(
        trial=trial.trial_id,
        status=status,
        draw=dict(trial.config["draw"]),
        report=report,
        failure=failure,
        checkpoint=_location(trial.checkpoint),
    )


def _location(checkpoint: Checkpoint | None) -> str | None:
    if checkpoint is None or checkpoint.filesystem is None:
        return None
    kind = checkpoint.filesystem.type_name
    return checkpoint.path if kind == "local" else f"{kind}://{checkpoint.path}"


def reports_of(storage: str, trial: str) -> list[dict[str, Any]]:
    """All that a trial has reported, as Tune keeps it in the sweep's storage."""
    folder = Folder.at(f"{storage}/{TUNE_FOLDER}/{trial_folder(trial)}")
    lines = folder.read(_REPORTS).decode().splitlines() if folder.holds(_REPORTS) else []
    return [own_metrics(json.loads(line)) for line in lines]


def best_first(results: Sequence[TrialResult], sweep: Sweep) -> list[TrialResult]:
    """Results that have a score, in order: by the metric, or, of several metrics, those that nothing beats first.

    Of several metrics, results are ordered by how many others are better in all, and equals by the first metric.
    """
    scored = [result for result in results if not result.failure and all(map(math.isfinite, result.score(sweep)))]
    return sorted(scored, key=lambda result: (_beaten_by(result, scored, sweep), result.score(sweep)))


def pareto_front(results: Sequence[TrialResult], sweep: Sweep) -> list[TrialResult]:
    """The results that no other beats in every metric, the best in the first metric first; of one metric, the best."""
    ordered = best_first(results, sweep)
    return [result for result in ordered if not _beaten_by(result, ordered, sweep)]


def trial_table(results: Sequence[TrialResult], sweep: Sweep) -> pd.DataFrame:
    """A row a trial, the best first and those without a score last: status, settings, and the last report."""
    ranked = best_first(results, sweep)
    ordered = ranked + [result for result in results if result not in ranked]
    rows = [
        {
            "rank": rank if result in ranked else None,
            "trial": result.trial,
            "status": result.status,
            **{name: result.draw.get(name) for name in sweep.space},
            **{name: value for name, value in result.report.items() if name not in (CURVE, FINISHED, FAILURE)},
            "failure": result.failure,
        }
        for rank, result in enumerate(ordered, 1)
    ]
    return pd.DataFrame(rows).astype({"rank": "Int64"} if rows else {})


def write_trials(table: pd.DataFrame, path: Path) -> None:
    """Writes the table of `trial_table` as CSV, whole or not at all."""
    with atomic_path(path) as aside:
        table.to_csv(aside, index=False, float_format="%.6g")


def _beaten_by(result: TrialResult, others: Sequence[TrialResult], sweep: Sweep) -> int:
    mine = np.array(result.score(sweep))
    theirs = np.array([other.score(sweep) for other in others])
    if len(sweep.metric) == 1:
        return int((theirs < mine).any()) if len(theirs) else 0
    return int(((theirs <= mine).all(1) & (theirs < mine).any(1)).sum())


def shown_draw(draw: Draw) -> str:
    """Settings in a line, each by as much of the end of its name as tells it from the others."""
    return ", ".join(f"{_short(name, draw)} {_shown(value)}" for name, value in draw.items())


def _short(name: str, names: Iterable[str]) -> str:
    parts = name.split(".")
    ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
    return next(end for end in ends if sum(f".{other}".endswith(f".{end}") for other in names) == 1)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
