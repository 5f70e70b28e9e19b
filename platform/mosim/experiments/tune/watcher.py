"""What is seen of a sweep: a live table of its trials, MLflow's child runs, and the table at the end."""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.live import Live
from rich.table import Table

from mosim.core.console import console
from mosim.experiments.sweep import CURVE, FINISHED, METRICS, TRAIN_SECONDS, WALL_SECONDS, Sweep
from mosim.experiments.tune.events import TrialEvent
from mosim.experiments.tune.results import TrialResult, best_first, shown_draw
from mosim.robots import label_of
from mosim.tracking import TrackedRun
from mosim_analysis import metric_names

_SHOWN_FINISHED = 5
"""Of the trials that have ended, the best so many are shown while others run."""

_TRACKED_NAMES = {
    "loss": metric_names.LOSS,
    "samples_per_second": metric_names.SAMPLES_PER_SECOND,
    "rollout_steps_per_second": metric_names.ROLLOUT_SPEED,
    "stage": metric_names.STAGE,
    "true_return": metric_names.RETURN_TRUE,
    "simulated_return": metric_names.RETURN_SIMULATED,
    TRAIN_SECONDS: metric_names.TRAIN_SECONDS,
    WALL_SECONDS: metric_names.TRAIN_WALL_SECONDS,
}
"""What reports are called in MLflow: as other commands call the same."""


class SweepWatcher:
    """Shows trials as they go, and tracks them as children of the sweep's run; told of events by `run_sweep`."""

    def __init__(self, sweep: Sweep, tracked: TrackedRun, trials: int) -> None:
        """`trials` says how many there will be."""
        self._sweep, self._tracked, self._total = sweep, tracked, trials
        self._trials: dict[str, TrialResult] = {}
        self._runs: dict[str, TrackedRun] = {}
        self._tags = {"phase": "trial", "task": label_of(sweep.task), "variant": sweep.name}
        self._began = time.perf_counter()
        self._lock = threading.Lock()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "SweepWatcher":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def reported(self, event: TrialEvent) -> None:
        """Takes an event of a trial."""
        with self._lock:
            before = self._trials.get(event.trial)
            self._trials[event.trial] = TrialResult(
                trial=event.trial,
                status=_status(event),
                draw=event.draw,
                report=event.report or (before.report if before else {}),
                failure=event.failure,
            )
            track_trial(self._run(event.trial, event.draw), event.report)
            if event.kind in ("finished", "failed"):
                end_trial(self._runs.pop(event.trial), self._trials[event.trial])
                if not self._live:
                    console.print(self._line(self._trials[event.trial]))
            if self._live:
                self._live.update(self._table(), refresh=True)

    def settle(self, results: Sequence[TrialResult], reports: Mapping[str, list[dict[str, Any]]]) -> None:
        """Tracks once more all that trials have come to; what was told before is not doubled.

        Args:
          results: of `run_sweep`.
          reports: of each trial, all that it has reported.
        """
        with self._lock:
            for result in results:
                run = self._run(result.trial, result.draw)
                for report in reports.get(result.trial, []):
                    track_trial(run, report)
                if result.status != "unfinished":
                    end_trial(run, result)

    def _run(self, trial: str, draw: Mapping[str, Any]) -> TrackedRun:
        if trial not in self._runs:
            run = self._runs[trial] = self._tracked.child(trial_name(trial), tags=self._tags)
            run.log_parameters(draw)
        return self._runs[trial]

    def _line(self, result: TrialResult) -> str:
        ended = sum(each.status != "unfinished" for each in self._trials.values())
        scores = ", ".join(f"{name} {_figure(result.report.get(name))}" for name in self._sweep.metric)
        said = f"{result.failure or scores}; {shown_draw(result.draw)}"
        return f"{result.status} {trial_name(result.trial)} ({ended} of {self._total}): {said}"

    def _table(self) -> Table:
        running = [each for each in self._trials.values() if each.status == "unfinished"]
        ended = [each for each in self._trials.values() if each.status != "unfinished"]
        failed = sum(bool(each.failure) for each in ended)
        seconds = time.perf_counter() - self._began
        title = f"{self._sweep.name}: {len(ended)} of {self._total} trials ended, {len(running)} running"
        title += f", {failed} failed" * bool(failed) + f", {_clock(seconds)}"
        best = best_first(ended, self._sweep)[:_SHOWN_FINISHED]
        return result_rows([*best, *running], self._sweep, title)


def trial_name(trial: str) -> str:
    """What a trial is called in MLflow and in tables."""
    return f"trial {trial}"


def track_trial(run: TrackedRun, report: Mapping[str, Any]) -> None:
    """Tracks a trial's report, by gradient or control step."""
    numbers = {
        name: value
        for name, value in report.items()
        if isinstance(value, int | float) and name not in (FINISHED, "gradient_steps", "control_steps")
    }
    if numbers:
        step = int(report.get("gradient_steps") or report.get("control_steps") or 0)
        run.log_metrics({_tracked_name(name): value for name, value in numbers.items()}, step=step)


def end_trial(run: TrackedRun, result: TrialResult) -> None:
    """Tracks a trial's end: its horizon curve by physics step, and what became of it."""
    for step, error in enumerate(result.report.get(CURVE) or [], 1):
        run.log_metrics({metric_names.VALIDATION_CURVE: error}, step=step)
    run.set_tags({"status": result.status})
    run.finish("FAILED" if result.failure else "FINISHED", result.failure)


def result_rows(results: Sequence[TrialResult], sweep: Sweep, title: str) -> Table:
    """Trials as a table for the terminal, in the order given."""
    table = Table(title=title, title_justify="left")
    table.add_column("trial")
    table.add_column("status")
    table.add_column("trained", justify="right")
    for name in sweep.metric:
        table.add_column(f"{name} ({METRICS[name].mode})", justify="right")
    table.add_column("settings", overflow="fold")
    for result in results:
        scores = [_figure(result.report.get(name)) for name in sweep.metric]
        trained = _clock(result.report.get(TRAIN_SECONDS, 0.0))
        status = "running" if result.status == "unfinished" else result.status
        table.add_row(result.trial, status, trained, *scores, result.failure or shown_draw(result.draw))
    return table


def _status(event: TrialEvent) -> Any:
    if event.kind == "failed":
        return "failed"
    if event.kind == "finished":
        return "finished" if event.report.get(FINISHED) else "stopped early"
    return "unfinished"


def _tracked_name(name: str) -> str:
    if name.startswith(metric_names.HORIZON_CURVE):
        return metric_names.validation_error(name.removeprefix(metric_names.HORIZON_CURVE))
    return _TRACKED_NAMES.get(name, f"{metric_names.TRAINING}{name}")


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if math.isfinite(value) else "none"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
