"""The two kinds of work of a study: to train and measure one run, and to measure the baselines of one system."""

import os
import platform
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mosim.core.files import read_json, write_json
from mosim.core.frozen import Frozen
from mosim.core.run_identity import check_identity
from mosim.data import Dataset, Trajectories
from mosim.evaluation import MODEL_NAME, RolloutErrors, baselines, measure_horizons, rollout_speed, write_tables
from mosim.experiments.study.training_log import TrainingLog
from mosim.models import DynamicsModel
from mosim.robots import System
from mosim.tasks import load_system
from mosim.training import Recipe, Report, Trainer, TrainingData, load_simulator, read_checkpoint, run_identity

RESULT_FILE, BASELINES_FILE = "result.json", "baselines.json"

_STARTS_SEED = 0
"""Of the choice of starts: the same ones for every run of a system."""


class JobEvent(NamedTuple):
    """How far a job is: the share of it that is done, a few words, and the training's report where there is one."""

    share: float
    status: str
    report: Report | None = None


OnEvent = Callable[[JobEvent], None]


class Status(Enum):
    """What a job has left in its folder."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"


class Measurement(Frozen):
    """What is measured, and on which held-out data, of every model of a system.

    Attributes:
      source: what `mosim.tasks.load_system` takes.
      held_out: where the held-out dataset lies.
      held_out_id: its id.
      horizons, starts: see `mosim.evaluation.evaluate`.
    """

    source: str
    held_out: str
    held_out_id: str
    horizons: tuple[int, ...]
    starts: int

    @property
    def key(self) -> dict[str, Any]:
        """What decides the figures, as JSON."""
        return self.model_dump(mode="json", exclude={"source", "held_out"})

    def write(
        self, models: dict[str, DynamicsModel], system: System, trajectories: Trajectories, out: Path, device: str
    ) -> dict[str, list[dict[str, Any]]]:
        """Measures models, writes their tables into `out`, and returns the rows of `horizon.csv` by model."""
        measured: dict[str, dict[int, RolloutErrors]] = {
            name: measure_horizons(
                model, trajectories, horizons=self.horizons, starts=self.starts, seed=_STARTS_SEED, device=device
            )
            for name, model in models.items()
        }
        knowledge = {name: model.knowledge for name, model in models.items()}
        table, _, _ = write_tables(out, system.facts, self.held_out_id, measured, knowledge)
        kept = table.drop(columns=["system", "dataset"]).to_dict("records")
        rows = [{str(column): value for column, value in row.items()} for row in kept]
        return {name: [row for row in rows if row["model"] == name] for name in models}


class BaselineJob(Frozen):
    """Measures persistence and the chaos floor of a system. `provenance` goes into the results as it is."""

    name: str
    measurement: Measurement
    out: Path
    provenance: dict[str, str]

    def status(self) -> Status:
        """Whether it is done."""
        path = self.out / BASELINES_FILE
        done = path.is_file() and read_json(path)["measurement"] == self.measurement.key
        return Status.FINISHED if done else Status.NEW

    def run(self, device: str, on_event: OnEvent) -> None:
        """Measures, and writes `baselines.json` and the tables."""
        del device  # MuJoCo has only the one.
        on_event(JobEvent(0.0, "persistence and chaos floor"))
        system = load_system(self.measurement.source, allow_imports=True)
        trajectories = Dataset.open(self.measurement.held_out).load()
        rows = self.measurement.write(baselines(system), system, trajectories, self.out, "cpu")
        content = {"measurement": self.measurement.key, "horizons": rows, **self.provenance, **_machine("cpu")}
        write_json(self.out / BASELINES_FILE, content)


class TrainingJob(Frozen):
    """Trains a simulator, or goes on with it, and measures it.

    Attributes:
      name: see `PlannedRun`.
      recipe: with the seed and the budget of the run.
      train: where the training dataset lies.
      train_id: its id.
      measurement: what to measure.
      out: the run's folder.
      provenance: goes into the result as it is: commit and command.
    """

    name: str
    recipe: Recipe
    train: str
    train_id: str
    measurement: Measurement
    out: Path
    provenance: dict[str, str]

    @property
    def origin(self) -> dict[str, Any]:
        """What decides the weights, as JSON."""
        return run_identity(self.recipe, self.train_id)

    def status(self) -> Status:
        """Whether it is begun or done.

        Raises:
          MismatchError: the folder holds a run of another recipe or dataset; says what differs.
        """
        if not check_identity(self.out, self.origin, resume=True):
            return Status.NEW
        result = self.out / RESULT_FILE
        done = result.is_file() and read_json(result)["measurement"] == self.measurement.key
        return Status.FINISHED if done else Status.BEGUN

    def run(self, device: str, on_event: OnEvent) -> None:
        """Trains what is left, measures, and writes `result.json` and the tables.

        Raises:
          DivergenceError: the loss stopped being finite.
          MosimError: as `Trainer`.
        """
        on_event(JobEvent(0.0, "loading"))
        system, dataset = load_system(self.measurement.source, allow_imports=True), Dataset.open(self.train)
        log = TrainingLog(self.out / "training.jsonl", _steps_of_last_checkpoint(self.out))
        trainer = Trainer(
            system=self.measurement.source,
            recipe=self.recipe,
            data=TrainingData.load(dataset),
            out=self.out,
            device=device,
            resume=True,
        )

        def on_report(report: Report) -> None:
            log.note(report, self.recipe.stages[report.stage])
            on_event(JobEvent(self._share(report), f"{report.name}: loss {report.loss:.3g}", report))

        trainer.run(on_report)
        on_event(JobEvent(1.0, "measuring"))
        model = load_simulator(self.out, device)
        trajectories = Dataset.open(self.measurement.held_out).load()
        rows = self.measurement.write({MODEL_NAME: model}, system, trajectories, self.out, device)
        content = {
            **self.origin,
            "measurement": self.measurement.key,
            "horizons": rows,
            "gradient_steps": log.steps,
            "samples_seen": log.samples,
            "train_seconds": round(log.seconds, 3),
            "rollout_steps_per_second": rollout_speed(model, trajectories.states, trajectories.actions, device),
            "parameters": sum(weight.numel() for weight in model.parameters()),
            **self.provenance,
            **_machine(device),
        }
        write_json(self.out / RESULT_FILE, content)

    def _share(self, report: Report) -> float:
        """The share of the whole training that is done, each stage with its share of the time or of the samples."""
        stages = self.recipe.stages
        weights = [stage.minutes or 0.0 for stage in stages if stage.steps is None]
        if len(weights) < len(stages):
            weights = [float((stage.steps or 0) * stage.batch_size * stage.horizon) or 1.0 for stage in stages]
        if not any(weights):  # Every stage solves for its numbers.
            weights = [1.0] * len(stages)
        return (sum(weights[: report.stage]) + weights[report.stage] * report.progress) / sum(weights)


Job = BaselineJob | TrainingJob


def _steps_of_last_checkpoint(out: Path) -> int | None:
    return read_checkpoint(out).cursor["total_steps"] if any((out / "checkpoints").glob("step-*")) else None


def _machine(device: str) -> dict[str, str]:
    """What the figures were made on, as it is where the job runs."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    hardware = f"1 of {os.cpu_count()} x {names[0] if names else platform.machine()}"
    if device.startswith("cuda"):
        hardware += f", {torch.cuda.get_device_name(device)}"
    return {"hardware": hardware, "torch": torch.__version__}
