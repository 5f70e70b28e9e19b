"""A trial that trains a policy in the sweep's simulator: one seed after the other, reporting each evaluation."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from mosim.agents import PolicyProgress, train_policy
from mosim.core.files import read_json, write_json
from mosim.experiments.sweep import (
    FINISHED,
    STATE_FILE,
    TRAIN_SECONDS,
    WALL_SECONDS,
    PolicyPlan,
    failed_report,
    seed_folder,
)
from mosim.experiments.tune.failures import lasting_failure
from mosim.experiments.tune.working_folder import working_folder


def train_policy_trial(config: Mapping[str, Any], plan: PolicyPlan, device: str) -> None:
    """Ray Tune's trainable.

    Args:
      config: `draw`, the settings of the trial.
      plan: of the sweep.
      device: where simulator and policy are; a trial's env runners sample on the CPU.
    """
    try:
        with working_folder() as folder:
            _Trial(plan, config["draw"], device, folder).run()
    except Exception as error:
        if (failure := lasting_failure(error)) is None:
            raise
        # Reported, not raised: Tune would begin again what can only fail again.
        tune.report(failed_report(plan.sweep, failure))


class _Trial:
    def __init__(self, plan: PolicyPlan, draw: Mapping[str, Any], device: str, folder: Path) -> None:
        self._plan, self._draw, self._device, self._folder = plan, draw, device, folder
        self._last: dict[int, PolicyProgress] = {}
        self._wall_before, self._began = 0.0, time.perf_counter()
        if checkpoint := tune.get_checkpoint():
            checkpoint.to_directory(str(folder))
            self._wall_before = read_json(folder / STATE_FILE)[WALL_SECONDS]

    def run(self) -> None:
        """Trains under each seed, and goes on within the one at which the trial was."""
        for seed in self._plan.sweep.seeds:
            train_policy(
                self._plan.recipe(self._draw, seed),
                self._plan.sweep.task,
                self._plan.simulator,
                self._folder / seed_folder(seed),
                on_progress=lambda progress, seed=seed: self._note(seed, progress),
                resume=True,
                data=self._plan.data,
                device=self._device,
            )

    def _note(self, seed: int, progress: PolicyProgress) -> None:
        """Reports where there is a new evaluation, or the end of all."""
        before = self._last.get(seed)
        if progress.return_true_mean is None or (
            before and (before.return_true_mean, before.finished) == (progress.return_true_mean, progress.finished)
        ):
            return
        self._last[seed] = progress
        self._report(finished=progress.finished and seed == self._plan.sweep.seeds[-1])

    def _report(self, finished: bool) -> None:
        evaluated = self._last.values()
        metrics: dict[str, Any] = {
            "true_return": statistics.median(each.return_true_mean or 0.0 for each in evaluated),
            "simulated_return": statistics.median(each.return_simulated or 0.0 for each in evaluated),
            "control_steps": sum(each.steps for each in evaluated),
            "divergences": sum(each.divergences.total for each in evaluated),
            TRAIN_SECONDS: sum(each.wall_seconds for each in evaluated),
            WALL_SECONDS: self._wall_before + time.perf_counter() - self._began,
            FINISHED: finished,
        }
        write_json(self._folder / STATE_FILE, metrics)
        tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(str(self._folder)))
