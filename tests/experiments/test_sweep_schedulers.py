"""Which trials end early, and which take over others: by what they have come to at the same training time."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.train import Checkpoint
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.pbt import _explore

from mosim.core.errors import MosimError
from mosim.experiments.sweep.config import read_sweep
from mosim.experiments.sweep.plan import SweepPlan, plan_sweep
from mosim.experiments.sweep.reports import FINISHED, SINCE_SECONDS, TRAIN_SECONDS, failed_report
from mosim.experiments.sweep.space import Draw
from mosim.experiments.tune.schedulers import (
    DRAW,
    AlikeTraining,
    EqualHalving,
    EqualMedian,
    Recollection,
    checkpoints_kept,
    make_scheduler,
)

METRIC = "horizon_mse/16"

RECIPE: dict[str, Any] = {
    "model": {"correctors": []},
    "stages": [{"name": "predictor", "learns": ["predictor"], "minutes": 1}],
}


def planned(folder: Path, **changes: Any) -> SweepPlan:
    sweep = {
        "name": "mine",
        "task": "pendulum-swingup",
        "recipe": "recipe.yaml",
        "minutes": 10,
        "space": {"stages.0.learning_rate": {"loguniform": [0.001, 0.01]}},
        "metric": METRIC,
        "budget": {"trials": 4},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (folder / "mine.yaml").write_text(yaml.safe_dump(sweep | changes, sort_keys=False))
    return plan_sweep(read_sweep(folder / "mine.yaml"), folder / "mine.yaml")


class Trials:
    """Trials that a scheduler is told of, without any that run; stands for Tune's controller too.

    Attributes:
      plan: of the sweep.
      scheduler: that is told.
      saved: trials that the scheduler had saved.
      search_alg: as Tune's controller has it, where trials are drawn beforehand.
    """

    search_alg = None

    def __init__(self, plan: SweepPlan) -> None:
        self.plan, self.saved = plan, list[Trial]()
        self.scheduler = make_scheduler(plan)
        self.scheduler.set_search_properties(METRIC, "min")
        self._trials: dict[str, Trial] = {}
        self._at: dict[str, float] = {}

    def add(self, name: str, draw: Draw | None = None, start: float = 0.0) -> Trial:
        trial = Trial("none", trial_id=name, config={DRAW: draw or {}}, stub=True)
        trial.set_status(Trial.RUNNING)
        self._trials[name], self._at[name] = trial, start
        self.scheduler.on_trial_add(self, trial)  # pyright: ignore[reportArgumentType]
        return trial

    def report(self, name: str, seconds: float, error: float) -> str:
        result = {TRAIN_SECONDS: seconds, SINCE_SECONDS: self._at[name], METRIC: error}
        self._at[name] = seconds
        return self.send(name, result)

    def send(self, name: str, result: dict[str, Any]) -> str:
        return self.scheduler.on_trial_result(self, self._trials[name], result)  # pyright: ignore[reportArgumentType]

    def get_trials(self) -> list[Trial]:
        """As Tune's controller has it."""
        return list(self._trials.values())

    def get_live_trials(self) -> list[Trial]:
        """As Tune's controller has it."""
        return [trial for trial in self._trials.values() if not trial.is_finished()]

    def pause_trial(self, trial: Trial, should_checkpoint: bool) -> None:
        """As Tune's controller has it."""
        trial.set_status(Trial.PAUSED)

    def _schedule_trial_save(self, trial: Trial, result: dict[str, Any]) -> Checkpoint:
        self.saved.append(trial)
        return Checkpoint(f"/of/{trial.trial_id}")


@pytest.fixture
def halving(tmp_path: Path) -> Trials:
    """Rungs at 60, 180 and 540 of 600 seconds."""
    return Trials(planned(tmp_path, scheduler={"kind": "asha", "grace_minutes": 1}))


def test_trials_behind_at_the_same_training_time_are_stopped(halving: Trials) -> None:
    for name, error in [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 0.5)]:
        halving.add(name)
        assert halving.report(name, 50, 9.0) == TrialScheduler.CONTINUE, "every trial has its grace"
        behind = error > 1.0
        assert halving.report(name, 70, error) == (TrialScheduler.STOP if behind else TrialScheduler.CONTINUE)


def test_how_often_trials_report_and_at_which_stage_they_are_is_all_one(halving: Trials) -> None:
    for name in ("often", "seldom"):
        halving.add(name)
    for seconds in range(5, 65, 5):
        assert halving.report("often", seconds, 1.0) == TrialScheduler.CONTINUE
    # Its third report, and the others' dozenth: better at the time, worse than they are by its count.
    assert halving.report("seldom", 30, 50.0) == TrialScheduler.CONTINUE
    assert halving.report("seldom", 61, 0.9) == TrialScheduler.CONTINUE
    for seconds in range(65, 185, 5):
        assert halving.report("often", seconds, 1e-3) == TrialScheduler.CONTINUE, "on its way to the next rung"
    assert halving.report("seldom", 120, 0.8) == TrialScheduler.CONTINUE, "the other one is further, not better"
    assert halving.report("seldom", 185, 0.7) == TrialScheduler.STOP


def test_a_trial_that_starts_above_a_rung_is_not_compared_there(halving: Trials) -> None:
    halving.add("shared", start=100.0)
    assert halving.report("shared", 110, 1e-6) == TrialScheduler.CONTINUE
    for name, error in [("a", 1.0), ("b", 1.1)]:
        halving.add(name)
        wanted = TrialScheduler.CONTINUE if name == "a" else TrialScheduler.STOP
        assert halving.report(name, 61, error) == wanted, "compared with one another alone"
    assert halving.report("shared", 181, 1.0) == TrialScheduler.CONTINUE
    assert halving.report("a", 181, 2.0) == TrialScheduler.STOP, "where both came to the rung, they are compared"


@pytest.mark.filterwarnings("error")
def test_failed_and_infinite_errors_leave_the_cutoff_what_it_is(halving: Trials) -> None:
    sweep = halving.plan.sweep
    for name in ("failed", "broken", "a", "b", "c", "d"):
        halving.add(name)
    halving.report("failed", 10, 5.0)
    assert halving.send("failed", failed_report(sweep, "diverged: x")) == TrialScheduler.CONTINUE
    assert halving.report("broken", 60, math.inf) == TrialScheduler.CONTINUE, "the first of the rung"
    assert halving.report("a", 60, 1.0) == TrialScheduler.CONTINUE
    assert halving.report("b", 60, math.inf) == TrialScheduler.STOP
    assert halving.report("d", 60, 0.5) == TrialScheduler.CONTINUE
    assert halving.report("c", 60, 2.0) == TrialScheduler.STOP
    for seconds, error in [(180, 1.0), (540, 0.5)]:
        for name in ("a", "d"):
            assert halving.report(name, seconds, error) == TrialScheduler.CONTINUE


def test_the_median_stops_what_is_worse_and_pauses_nothing(tmp_path: Path) -> None:
    trials = Trials(planned(tmp_path, scheduler={"kind": "median", "grace_minutes": 1, "minimum_trials": 2}))
    for name in ("a", "b", "c"):
        trials.add(name)
    trials.add("waiting").set_status(Trial.PENDING)
    for name, error in [("a", 1.0), ("b", 2.0)]:
        assert trials.report(name, 60, error) == TrialScheduler.CONTINUE, "though another one waits for its turn"
    assert trials.report("c", 60, 9.0) == TrialScheduler.STOP


def write_reports(storage: Path, trial: str, reports: list[tuple[float, float]]) -> None:
    """As Tune's logger writes them: seconds and error."""
    folder = storage / "tune" / f"trial-{trial}"
    folder.mkdir(parents=True)
    rows = [{TRAIN_SECONDS: seconds, SINCE_SECONDS: seconds - 60, METRIC: error} for seconds, error in reports]
    (folder / "result.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def recollect(trials: Trials, storage: Path, kept: dict[str, float]) -> None:
    """Goes on with a sweep: each trial's last report that Tune has kept is told by its seconds."""
    assert isinstance(trials.scheduler, EqualHalving | EqualMedian)
    for name, seconds in kept.items():
        trials.add(name, start=seconds).update_last_result({TRAIN_SECONDS: seconds})
    recollection = Recollection(trials.scheduler, str(storage))
    for iteration in range(2):
        recollection.on_step_begin(iteration, trials.get_trials())


def test_a_trial_behind_those_of_before_an_interruption_is_stopped(halving: Trials, tmp_path: Path) -> None:
    write_reports(tmp_path, "ended", [(60, 1.0), (180, 0.5)])
    write_reports(tmp_path, "at work", [(60, 2.0), (120, 0.1)])
    recollect(halving, tmp_path, {"ended": 180, "at work": 60, "new": 0})
    assert halving.report("new", 60, 3.0) == TrialScheduler.STOP
    assert halving.report("at work", 120, 0.1) == TrialScheduler.CONTINUE, "it was judged at the first rung"
    assert halving.report("at work", 180, 0.6) == TrialScheduler.STOP
    halving.add("better")
    assert halving.report("better", 60, 0.9) == TrialScheduler.CONTINUE


def test_what_is_reported_once_more_is_judged_once_more(halving: Trials, tmp_path: Path) -> None:
    write_reports(tmp_path, "ended", [(60, 1.0)])
    write_reports(tmp_path, "at work", [(60, 2.0)])
    recollect(halving, tmp_path, {"ended": 60, "at work": 0})
    assert halving.report("at work", 60, 2.0) == TrialScheduler.STOP, "Tune had not kept that it was to stop"


def test_the_median_is_that_of_trials_before_an_interruption_too(tmp_path: Path) -> None:
    trials = Trials(planned(tmp_path, scheduler={"kind": "median", "grace_minutes": 1, "minimum_trials": 2}))
    for name, error in [("a", 1.0), ("b", 2.0)]:
        write_reports(tmp_path, name, [(60, error)])
    recollect(trials, tmp_path, {"a": 60, "b": 60, "c": 0})
    assert trials.report("c", 60, 9.0) == TrialScheduler.STOP
    assert trials.report("b", 60, 2.0) == TrialScheduler.CONTINUE


POPULATION = {
    "scheduler": {"kind": "pbt", "interval_minutes": 1},
    "space": {
        "stages.0.learning_rate": {"loguniform": [0.001, 0.01]},
        "stages.0.batch_size": {"randint": [30, 60]},
        "stages.0.gradient_clip": {"choice": [0.5, 1, 2]},
        "model.bias.width": {"choice": [8, 16]},
    },
}


def drawn(width: int, rate: float = 0.005) -> Draw:
    others = {"stages.0.batch_size": 40, "stages.0.gradient_clip": 1, "model.bias.width": width}
    return {"stages.0.learning_rate": rate, **others}


@pytest.fixture
def population(tmp_path: Path) -> Trials:
    trials = Trials(planned(tmp_path, **POPULATION))
    assert isinstance(trials.scheduler, AlikeTraining)
    trials.scheduler._log_config = False  # These trials have no folders.
    return trials


@pytest.mark.parametrize("width", [8, 16])
def test_a_trial_behind_takes_over_one_of_its_own_architecture_alone(population: Trials, width: int) -> None:
    for name, each in [("ahead", 8), ("second", 8), ("third", 16), ("behind", width)]:
        population.add(name, drawn(each))
    behind = population.get_trials()[-1]
    for name, error in [("third", 3.0), ("second", 2.0), ("ahead", 1.0)]:
        assert population.report(name, 60, error) == TrialScheduler.CONTINUE
    assert population.report("behind", 60, 9.0) == (TrialScheduler.NOOP if width == 8 else TrialScheduler.CONTINUE)
    metadata: Any = behind.run_metadata
    taken = metadata.checkpoint_manager.latest_checkpoint_result
    assert (behind.status, taken is not None) == ((Trial.PAUSED, True) if width == 8 else (Trial.RUNNING, False))
    assert taken is None or (taken.checkpoint is not None and taken.checkpoint.path == "/of/ahead")
    assert (behind.config[DRAW] == drawn(width)) == (width == 16), "who takes over another's weights changes settings"
    assert behind.config[DRAW]["model.bias.width"] == width


def test_a_population_mutates_by_its_seed_and_leaves_others_what_they_draw(tmp_path: Path) -> None:
    drawn_after = []

    def replacements(seed: int) -> list[Draw]:
        """Settings of trials behind, one after another."""
        random.seed()
        scheduler = {"kind": "pbt", "interval_minutes": 1, "resample_probability": 1}
        trials = Trials(planned(tmp_path, **POPULATION | {"scheduler": scheduler, "seed": seed}))
        assert isinstance(trials.scheduler, AlikeTraining)
        trials.scheduler._log_config = False
        for name in ("ahead", "second", "third", "behind"):
            trials.add(name, drawn(8))
        behind = trials.get_trials()[-1]
        settings = []
        for minute in (60, 120, 180):
            for number, name in enumerate(("ahead", "second", "third", "behind")):
                trials.report(name, minute, float(number))
            behind.set_status(Trial.RUNNING)
            settings.append(behind.config[DRAW])
        drawn_after.append(random.random())
        return settings

    once = replacements(1)
    assert once == replacements(1)
    assert once != replacements(2)
    assert once[1] != once[2], "each replacement draws its own"
    # What others draw goes on from their own seed, which is another each time, and not from the scheduler's.
    assert len(set(drawn_after)) == 3


def test_what_mutates_stays_in_the_space_and_the_architecture_as_it_is(population: Trials) -> None:
    random.seed(0)
    pbt, space = population.scheduler, population.plan.space
    assert isinstance(pbt, AlikeTraining)
    explore: Any = _explore  # Whose types do not take its own default.
    config: dict[str, Any] = {DRAW: drawn(8, 0.0099)}
    seen: dict[str, set[Any]] = {name: set() for name in config[DRAW]}
    for _ in range(300):
        config, _ = explore(
            config,
            pbt._hyperparam_mutations,
            pbt._resample_probability,
            pbt._perturbation_factors,
            pbt._custom_explore_fn,
        )
        assert space.bounded(config[DRAW]) == config[DRAW]
        population.plan.recipe(config[DRAW], 0)
        for name, value in config[DRAW].items():
            seen[name].add(value)
    assert seen["model.bias.width"] == {8}
    assert seen["stages.0.gradient_clip"] == {0.5, 1, 2}
    rates, sizes = seen["stages.0.learning_rate"], seen["stages.0.batch_size"]
    assert (min(rates), max(rates)) == (0.001, 0.01), "it moves past the ends of its range, and is held there"
    assert (min(sizes), max(sizes)) == (30, 59)
    assert all(isinstance(size, int) for size in sizes)


@pytest.mark.parametrize("name", ["optimizer", "learns"])
def test_what_moments_depend_on_does_not_mutate(name: str, tmp_path: Path) -> None:
    values = {"optimizer": ["adam", "soap"], "learns": [["predictor"], ["predictor", "corrector/0"]]}[name]
    space = {f"stages.0.{name}": {"choice": values}}
    with pytest.raises(
        MosimError, match=f"pbt has no dimension to mutate; 'stages.0.{name}': only fields of stages can"
    ):
        planned(tmp_path, **POPULATION | {"space": space})
    assert planned(tmp_path, **POPULATION | {"space": space | POPULATION["space"]}).sweep.mutated == (
        "stages.0.learning_rate",
        "stages.0.batch_size",
        "stages.0.gradient_clip",
    )


def test_a_trial_of_a_population_that_is_through_stays_what_it_is(population: Trials) -> None:
    for name in ("ahead", "behind"):
        population.add(name, drawn(8))
    for seconds, name, error in [(60, "ahead", 1.0), (60, "behind", 9.0), (120, "ahead", 1.0)]:
        assert population.report(name, seconds, error) == TrialScheduler.CONTINUE
    last = {FINISHED: True, TRAIN_SECONDS: 600.0, SINCE_SECONDS: 120.0}
    assert population.send("ahead", last | {METRIC: 0.5}) == TrialScheduler.CONTINUE
    assert population.report("behind", 120, 9.0) == TrialScheduler.NOOP
    metadata: Any = population.get_trials()[-1].run_metadata
    taken = metadata.checkpoint_manager.latest_checkpoint_result
    assert taken.metrics[TRAIN_SECONDS] == 120, "not the end, where there is nothing left to be trained"
    assert population.send("behind", last | {METRIC: 9.0}) == TrialScheduler.CONTINUE


def test_checkpoints_of_a_population_stay_until_they_are_taken_over(tmp_path: Path) -> None:
    plan = planned(tmp_path, **POPULATION, report_seconds=7)
    assert checkpoints_kept(plan.sweep) >= 2 * 60 / 7


def test_a_diverged_trial_of_a_population_is_replaced_rather_than_lost(population: Trials) -> None:
    for name in ("other", "ahead", "behind"):
        population.add(name, drawn(8))
    population.report("other", 60, 2.0)
    population.report("ahead", 60, 1.0)
    failed = failed_report(population.plan.sweep, "diverged: x")
    assert population.send("behind", failed) == TrialScheduler.NOOP
    assert population.get_trials()[-1].status == Trial.PAUSED
