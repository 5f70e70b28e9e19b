"""A trial that trains a simulator: once a seed, side by side, reporting at fixed intervals of training."""

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from mosim.core.files import read_json, write_json
from mosim.core.threads import torch_threads
from mosim.evaluation import rollout_speed
from mosim.experiments.sweep import (
    CURVE,
    FINISHED,
    SINCE_SECONDS,
    STAGE,
    STATE_FILE,
    TRAIN_SECONDS,
    WALL_SECONDS,
    SimulatorPlan,
    failed_report,
    seed_folder,
)
from mosim.experiments.tune.failures import lasting_failure
from mosim.experiments.tune.predictors import SharedPredictors
from mosim.experiments.tune.working_folder import working_folder
from mosim.training import Report, Trainer, TrainingData, read_checkpoint
from mosim_analysis.metric_names import HORIZON_CURVE

_HORIZONS = (16, 100)

_CURVE_STEPS = max(_HORIZONS)


def train_simulator_trial(
    config: Mapping[str, Any], plan: SimulatorPlan, data: Mapping[str, Any], registry: Any, device: str
) -> None:
    """Ray Tune's trainable.

    Args:
      config: `draw`, the settings of the trial.
      plan: of the sweep.
      data: `reference`, Ray's of a `TrainingData`, whose arrays all trials of a node share.
      registry: the actor of `mosim.experiments.tune.predictors`; None where predictors are not shared.
      device: a torch device.
    """
    predictors = None if registry is None else SharedPredictors(registry, str(tune.get_context().get_trial_id()))
    try:
        with working_folder() as folder, torch_threads(max(1, int(plan.sweep.resources.cpu))):
            _Trial(plan, config["draw"], ray.get(data["reference"]), predictors, device, folder).run()
    except Exception as error:
        if (failure := lasting_failure(error)) is None:
            raise
        # Reported, not raised: Tune would begin again what can only fail again.
        tune.report(failed_report(plan.sweep, failure))


class _SeedRun:
    """The training under one of a trial's seeds.

    Attributes:
      trainer: that trains.
      stage: the index of the stage that it is at; the number of stages at the end.
      steps: gradient steps so far.
      last: its last report; None before the first of this process.
    """

    def __init__(self, trainer: Trainer, start: Path | None) -> None:
        """`start` is the checkpoint that the trainer goes on from."""
        cursor = {"stage": 0, "total_steps": 0} if start is None else read_checkpoint(start).cursor
        self.trainer = trainer
        self.stage: int = cursor["stage"]
        self.steps: int = cursor["total_steps"]
        self.last: Report | None = None
        self._reports: Iterator[Report] = trainer.reports()

    def advance(self, until: float) -> Iterator[Report]:
        """Trains up to `until` seconds of training in all, or to the end."""
        while not self.trainer.finished and self.trainer.seconds < until:
            self.last = next(self._reports)
            self.stage = self.last.stage + (self.last.validation is not None)
            self.steps = self.last.step
            yield self.last


class _Trial:
    def __init__(
        self,
        plan: SimulatorPlan,
        draw: Mapping[str, Any],
        data: TrainingData,
        predictors: SharedPredictors | None,
        device: str,
        folder: Path,
    ) -> None:
        self._plan, self._draw, self._data, self._device, self._folder = plan, draw, data, device, folder
        self._predictors = predictors
        self._claimed: dict[int, tuple[int, str]] = {}
        self._wall_before, self._began = 0.0, time.perf_counter()
        starts: dict[int, Path] = {}
        if checkpoint := tune.get_checkpoint():
            kept = Path(checkpoint.to_directory(str(folder / "restored")))
            self._wall_before = read_json(kept / STATE_FILE)[WALL_SECONDS]
            starts = {seed: kept / seed_folder(seed) for seed in plan.sweep.seeds}
        self._runs = {seed: self._seed_run(seed, starts.get(seed)) for seed in plan.sweep.seeds}
        self._since_seconds = self._train_seconds
        model = next(iter(self._runs.values())).trainer.model
        self._speed = rollout_speed(model, *data.tensors(torch.device("cpu")), next(model.parameters()).device)

    def run(self) -> None:
        """Trains and reports until all seeds are through; a trial that was through already reports once more."""
        while True:
            self._advance()
            finished = all(run.trainer.finished for run in self._runs.values())
            self._report(finished)
            if finished:
                return

    def _seed_run(self, seed: int, start: Path | None) -> _SeedRun:
        """Begins a seed's training, or goes on with it: from where the trial was, or from a predictor of another's."""
        recipe = self._plan.recipe(self._draw, seed)
        shared = self._plan.predictor_key(recipe, self._data.dataset_id) if self._predictors else None
        if shared and self._predictors and start is None:
            start = self._predictors.take(shared[1], self._folder)
        trainer = Trainer(
            system=self._plan.source,
            recipe=recipe,
            data=self._data,
            out=self._folder / f"run-{seed}",
            device=self._device,
            start=start,
        )
        run = _SeedRun(trainer, start)
        # Also of one in whose middle the trial was, which others may wait for.
        if shared and self._predictors and run.stage < shared[0] and self._predictors.claim(shared[1]):
            self._claimed[seed] = shared
        return run

    def _advance(self) -> None:
        """Trains all seeds up to the same time, an interval after the one that is furthest behind."""
        behind = [run.trainer.seconds for run in self._runs.values() if not run.trainer.finished]
        for seed, run in self._runs.items():
            for _ in run.advance(min(behind, default=0.0) + self._plan.sweep.report_seconds):
                self._share(seed, run)

    def _share(self, seed: int, run: _SeedRun) -> None:
        """Publishes the predictor that other trials wait for, as soon as it is trained."""
        if self._predictors is None or seed not in self._claimed:
            return
        stages, key = self._claimed[seed]
        if run.stage < stages:
            self._predictors.renew()
            return
        self._predictors.publish(key, run.trainer.save())
        del self._claimed[seed]

    def _report(self, finished: bool) -> None:
        runs = self._runs.values()
        reports = [run.last for run in runs if run.last]
        metrics: dict[str, Any] = {
            **self._errors(),
            "loss": statistics.median(report.loss for report in reports) if reports else None,
            "samples_per_second": statistics.fmean(report.samples_per_second for report in reports) if reports else 0.0,
            "rollout_steps_per_second": self._speed,
            STAGE: min(run.stage for run in runs),
            "gradient_steps": min(run.steps for run in runs),
            "samples": min(run.trainer.samples for run in runs),
            TRAIN_SECONDS: self._train_seconds,
            SINCE_SECONDS: self._since_seconds,
            WALL_SECONDS: self._wall_before + time.perf_counter() - self._began,
            FINISHED: finished,
        }
        with tempfile.TemporaryDirectory(dir=self._folder) as kept:
            for seed, run in self._runs.items():
                shutil.copytree(run.trainer.save(), Path(kept) / seed_folder(seed))
            write_json(Path(kept) / STATE_FILE, metrics)
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(kept))
        self._since_seconds = self._train_seconds

    @property
    def _train_seconds(self) -> float:
        """Of the seed that is furthest behind."""
        return min(run.trainer.seconds for run in self._runs.values())

    def _errors(self) -> dict[str, Any]:
        """The median over the seeds of each horizon error, their curve, and where there are several seeds, theirs."""
        curves = {seed: _horizon_curve(run.trainer) for seed, run in self._runs.items()}
        medians = [statistics.median(curve[step] for curve in curves.values()) for step in range(1, _CURVE_STEPS + 1)]
        errors: dict[str, Any] = {f"{HORIZON_CURVE}{horizon}": medians[horizon - 1] for horizon in _HORIZONS}
        for seed, curve in curves.items() if len(curves) > 1 else ():
            errors |= {f"{HORIZON_CURVE}{horizon}/seed-{seed}": curve[horizon] for horizon in _HORIZONS}
        return errors | {CURVE: medians}


def _horizon_curve(trainer: Trainer) -> dict[int, float]:
    """The horizon error by physics step; that of a rollout which comes to no number is infinite, to be compared."""
    errors = trainer.horizon_errors(range(1, _CURVE_STEPS + 1))
    return {step: math.inf if math.isnan(error) else error for step, error in errors.items()}
