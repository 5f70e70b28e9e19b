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

from mosim.core.files import atomic_path
from mosim.core.frozen import Frozen
from mosim.experiments.sweep import CURVE, FAILURE, FINISHED, Draw, Sweep
from mosim.experiments.tune.events import own_metrics
from mosim.experiments.tune.failures import crash_of
from mosim.experiments.tune.tune_state import written_reports

TRIALS_FILE = "trials.csv"

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
      resumable: whether a resumed sweep goes on with it: it was interrupted, or its process came to nothing.
    """

    trial: str
    status: Status
    draw: Draw
    report: dict[str, Any] = Field(default={})
    failure: str = ""
    checkpoint: str | None = None
    resumable: bool = False

    def score(self, sweep: Sweep) -> tuple[float, ...]:
        """The sweep's metrics, each turned so that less is better; infinite where there is none."""
        signs = (1 if mode == "min" else -1 for mode in sweep.modes)
        values = (self.report.get(name) for name in sweep.metric)
        return tuple(
            math.inf if value is None or math.isnan(value) else sign * value
            for sign, value in zip(signs, values, strict=True)
        )


def result_of(trial: Trial, interrupted: bool = False) -> TrialResult:
    """The result of one of Tune's trials, which may have been interrupted as it ran."""
    report = own_metrics(trial.last_result or {})
    failure = str(report.get(FAILURE) or "")
    if trial.status == Trial.ERROR:
        failure = crash_of(trial)
    status: Status = "unfinished"
    if failure:
        status = "failed"
    elif trial.status == Trial.TERMINATED and not interrupted:
        status = "finished" if report.get(FINISHED) else "stopped early"
    return TrialResult(
        trial=trial.trial_id,
        status=status,
        draw=dict(trial.config["draw"]),
        report=report,
        failure=failure,
        checkpoint=_location(trial.checkpoint),
        resumable=interrupted or trial.status != Trial.TERMINATED,
    )


def _location(checkpoint: Checkpoint | None) -> str | None:
    if checkpoint is None or checkpoint.filesystem is None:
        return None
    kind = checkpoint.filesystem.type_name
    return checkpoint.path if kind == "local" else f"{kind}://{checkpoint.path}"


def reports_of(storage: str, trial: str) -> list[dict[str, Any]]:
    """All that a trial has reported, as the sweep's storage has it."""
    return [own_metrics(report) for report in written_reports(storage, trial)]


def best_first(results: Sequence[TrialResult], sweep: Sweep) -> list[TrialResult]:
    """Results that have a score, in order: by the metric, or, of several metrics, those that nothing beats first.

    Of several metrics, results are ordered by how many others are better in all, and equals by the first metric.
    """
    return [result for _, result in _ranked(results, sweep)]


def pareto_front(results: Sequence[TrialResult], sweep: Sweep) -> list[TrialResult]:
    """The results that no other beats in every metric, the best in the first metric first; of one metric, the best."""
    return [result for beaten_by, result in _ranked(results, sweep) if not beaten_by]


def trial_table(results: Sequence[TrialResult], sweep: Sweep) -> pd.DataFrame:
    """A row a trial, the best first and those without a score last: status, settings, and the last report."""
    ranked = best_first(results, sweep)
    named = {result.trial for result in ranked}
    ordered = ranked + [result for result in results if result.trial not in named]
    rows = [
        {
            "rank": rank if rank <= len(ranked) else None,
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


def _ranked(results: Sequence[TrialResult], sweep: Sweep) -> list[tuple[int, TrialResult]]:
    """Results that have a score, in order, each with how many others beat it: better in one metric, worse in none."""
    scored = [result for result in results if not result.failure and all(map(math.isfinite, result.score(sweep)))]
    scores = np.array([result.score(sweep) for result in scored])
    beaten_by = [int(((scores <= mine).all(1) & (scores < mine).any(1)).sum()) for mine in scores]
    order = sorted(range(len(scored)), key=lambda index: (beaten_by[index], *scores[index]))
    return [(beaten_by[index], scored[index]) for index in order]


def shown_draw(draw: Draw) -> str:
    """Settings in a line, each by as much of the end of its name as tells it from the others."""
    return ", ".join(f"{_short(name, draw)} {_shown(value)}" for name, value in draw.items())


def _short(name: str, names: Iterable[str]) -> str:
    parts = name.split(".")
    ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
    telling = (end for end in ends if sum(f".{other}".endswith(f".{end}") for other in names) == 1)
    return next(telling, name)  # Which may itself be the end of another.


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
