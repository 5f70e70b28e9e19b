"""Reading MLflow: runs page by page, and the histories of their metrics side by side."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mosim_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

PAGE = 500
"""Runs asked for at a time."""

_THREADS = 8
"""Histories asked for at a time, which hides most of the way to a server."""

_INFINITE = 1e300
"""MLflow keeps infinity as the largest number that it can."""

_ENDED = ("FINISHED", "FAILED", "KILLED")

COLUMNS = ("run", "metric", "step", "value", "time")

Wanted = Callable[[str, float], bool]

Progress = Callable[[int, int], None]
"""Told how many histories are read, and of how many."""


class Store:
    """An MLflow tracking store. What has been read of runs that have ended is not asked for again."""

    def __init__(self, tracking_uri: str) -> None:
        """Opens it; `tracking_uri` is MLflow's, such as `sqlite:////path/mlflow.db` or `http://server:5000`."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self.tracking_uri = tracking_uri
        self._client = MlflowClient(tracking_uri)
        self._kept: dict[tuple[str, str], pd.DataFrame] = {}

    def runs(self, experiment: str) -> "list[Run]":
        """Every run of an experiment that was not deleted, the first to begin first.

        Raises:
          AnalysisError: there is no such experiment; says which there are.
        """
        found = self._experiment(experiment)
        runs, token = [], None
        while True:
            page = self._client.search_runs(
                [found.experiment_id], max_results=PAGE, order_by=["start_time ASC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def histories(
        self,
        runs: "Sequence[Run]",
        wanted: Callable[[str, float], bool],
        on_progress: Progress = lambda done, total: None,
    ) -> pd.DataFrame:
        """All points of the metrics that are wanted.

        Args:
          runs: of `runs`.
          wanted: whether a metric is, by its name and its last value.
          on_progress: see `Progress`.

        Returns:
          Columns: `run`, `metric`, `step`, `value` (inf where it was infinite), `time` (seconds since 1970); by step,
          and of points that were logged twice at one step, the later one.
        """
        asked = [
            (run, metric) for run in runs for metric, last in sorted(run.data.metrics.items()) if wanted(metric, last)
        ]
        frames = []
        with ThreadPoolExecutor(_THREADS) as pool:
            for done, frame in enumerate(pool.map(self._history, asked), 1):
                frames.append(frame)
                on_progress(done, len(asked))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))

    def _experiment(self, name: str) -> "Experiment":
        found = self._client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage == "deleted":
            known = [experiment.name for experiment in self._client.search_experiments()]
            there = f"available: {', '.join(sorted(known))}" if known else "it has no experiment at all"
            raise AnalysisError(f"{self.tracking_uri} has no experiment {name!r}; {there}.")
        return found

    def _history(self, asked: "tuple[Run, str]") -> pd.DataFrame:
        run, metric = asked
        key = (run.info.run_id, metric)
        if key in self._kept:
            return self._kept[key]
        points = self._client.get_metric_history(*key)
        frame = pd.DataFrame(
            {
                "run": run.info.run_id,
                "metric": metric,
                "step": [point.step for point in points],
                "value": finite_or_infinite(point.value for point in points),
                "time": [point.timestamp / 1000 for point in points],
            },
            columns=list(COLUMNS),
        )
        frame = frame.sort_values(["step", "time"], kind="stable").drop_duplicates("step", keep="last")
        if run.info.status in _ENDED:
            self._kept[key] = frame
        return frame


def finite_or_infinite(values: Iterable[float]) -> np.ndarray:
    """Metrics as they were before MLflow made infinity a number."""
    array = np.fromiter(values, float)
    array[array >= _INFINITE], array[array <= -_INFINITE] = np.inf, -np.inf
    return array
