"""Sweeps as users start them: `mosim sweep` in a process of its own, over data that are collected once."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mosim.data import collect
from mosim_process import MosimProcess

RECIPE = {
    "model": {
        "inertia": {"width": 16, "depth": 1},
        "bias": {"width": 16, "depth": 1},
        "correctors": [{"network": {"width": 16, "depth": 1}}],
    },
    "stages": [
        {"name": "predictor", "learns": ["predictor"], "minutes": 1, "batch_size": 64},
        {"name": "corrector", "learns": ["corrector/0"], "minutes": 1, "batch_size": 64},
    ],
}

_END_SECONDS = 150.0
_POLL_SECONDS = 0.05


class SweepCommand:
    """A sweep's file, and what `mosim sweep` makes of it in a folder of its own.

    Attributes:
      file: the sweep's YAML.
      out: what is given as --out.
      uri: MLflow's store.
      flags: given to every run of the command.
      storage: where trials keep checkpoints.
    """

    def __init__(
        self, folder: Path, sweep: Mapping[str, Any], *flags: str, uri: str = "", out: Path | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.file, self.out = folder / "sweep.yaml", out or folder / "out"
        self.uri, self.flags = uri or f"sqlite:///{folder}/mlflow.db", flags
        self.storage = self.out
        self.file.write_text(yaml.safe_dump(dict(sweep), sort_keys=False))
        self._process: MosimProcess | None = None

    def start(self, *flags: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts the command."""
        self._process = MosimProcess(
            *("sweep", str(self.file), "--out", str(self.out), "--tracking-uri", self.uri, *self.flags, *flags),
            cwd=Path.cwd(),
            environment=environment,
        )

    def run(self, *flags: str, environment: Mapping[str, str] | None = None) -> int:
        """Runs the command to its end, and returns its exit status."""
        self.start(*flags, environment=environment)
        return self.end()

    def end(self, sent: signal.Signals | None = None) -> int:
        """Waits for the command's exit status, after a signal where one is sent."""
        assert self._process is not None
        if sent is not None:
            self._process.send_signal(sent)
        return self._process.wait(_END_SECONDS)

    def wait(self, condition: Callable[[], object]) -> None:
        """Waits, while the command runs, until a condition holds."""
        deadline = time.monotonic() + _END_SECONDS
        while not condition():
            assert self._process is not None
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """Ends the command, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)

    def kill_trials(self) -> None:
        """Ends the processes that train."""
        assert self._process is not None
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                session, name = os.getsid(int(folder.name)), (folder / "cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):  # Has ended since it was listed.
                continue
            if session == self._process.pid and name.startswith("ray::ImplicitFunc"):
                os.kill(int(folder.name), signal.SIGKILL)

    @property
    def said(self) -> str:
        """All that its last run has printed."""
        assert self._process is not None
        return self._process.stdout + self._process.stderr

    @property
    def kept(self) -> dict[str, list[dict[str, Any]]]:
        """The reports in each trial's checkpoints, in order, by trial; each with `time`, when it was written."""
        kept: dict[str, list[dict[str, Any]]] = {}
        for file in sorted(self.storage.glob("tune/trial-*/checkpoint_*/trial.json")):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):  # Being written, or removed.
                report = json.loads(file.read_text()) | {"time": file.stat().st_mtime_ns}
                kept.setdefault(file.parent.parent.name.removeprefix("trial-"), []).append(report)
        return kept

    @property
    def reports(self) -> dict[str, list[dict[str, Any]]]:
        """All reports of each trial of a sweep that is over, by trial, as Tune keeps them."""
        files = self.storage.glob("tune/trial-*/result.json")
        lines = {file.parent.name.removeprefix("trial-"): file.read_text().splitlines() for file in files}
        return {trial: [json.loads(line) for line in each] for trial, each in lines.items()}

    @property
    def ended(self) -> dict[str, dict[str, Any]]:
        """The last report of each trial that is through."""
        return {trial: reports[-1] for trial, reports in self.kept.items() if reports[-1]["finished"]}

    @property
    def trials(self) -> pd.DataFrame:
        """The table of trials.csv, by trial."""
        return pd.read_csv(self.out / "trials.csv", dtype={"trial": str}).set_index("trial")

    @property
    def runs(self) -> pd.DataFrame:
        """MLflow's runs, by name."""
        import mlflow

        runs = mlflow.MlflowClient(self.uri).search_runs([self._experiment])
        rows = [
            {
                "name": run.info.run_name,
                "id": run.info.run_id,
                "status": run.info.status,
                "parent": run.data.tags.get("mlflow.parentRunId"),
                "failure": run.data.tags.get("failure", ""),
                "note": run.data.tags.get("mlflow.note.content"),
            }
            for run in runs
        ]
        return pd.DataFrame(rows).set_index("name")

    @property
    def _experiment(self) -> str:
        import mlflow

        experiment = mlflow.MlflowClient(self.uri).get_experiment_by_name("mosim")
        assert experiment is not None
        return experiment.experiment_id


@pytest.fixture(scope="session")
def pendulum_data(tmp_path_factory: pytest.TempPathFactory, ray_of_two: None) -> Path:
    """A small dataset."""
    out = tmp_path_factory.mktemp("pendulum") / "data"
    collect("pendulum-swingup", str(out), episodes=6, steps=200, workers=1)
    return out


@pytest.fixture(scope="session")
def tiny_sweep(tmp_path_factory: pytest.TempPathFactory, pendulum_data: Path) -> dict[str, Any]:
    """A sweep of three trials of a few seconds' training, as its YAML file says it."""
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    return {
        "name": "tiny",
        "task": "pendulum-swingup",
        "data": {"path": str(pendulum_data)},
        "recipe": str(recipe),
        "minutes": 0.05,
        "space": {"stages.1.learning_rate": {"grid": [0.001, 0.003, 0.01]}},
        "metric": "horizon_mse/16",
        "budget": {"concurrent": 1},
        "report_seconds": 0.5,
    }


@pytest.fixture
def sweep_command(tmp_path: Path, tiny_sweep: dict[str, Any]) -> Iterator[Callable[..., SweepCommand]]:
    """Makes commands in the test's folder, of `tiny_sweep` with changes, and ends those that still run."""
    made: list[SweepCommand] = []

    def make(*flags: str, uri: str = "", **changes: Any) -> SweepCommand:
        made.append(SweepCommand(tmp_path, tiny_sweep | changes, *flags, uri=uri))
        return made[-1]

    yield make
    for command in made:
        command.kill()
