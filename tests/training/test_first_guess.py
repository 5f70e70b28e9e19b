"""A first guess of a robot's masses, and the parts of an articulated predictor that stages train."""

import functools
from pathlib import Path

import pytest
import torch
from pendulum_run import make_trainer
from pydantic import ValidationError

from mosim.dynamics import ConstraintsConfig, ModelConfig
from mosim.systems import load_task
from mosim.training import Recipe, Report, StageConfig, Trainer, TrainingData
from mosim.trajectories import PoissonBehaviour, Trajectories, collect_episode

MODEL = ModelConfig(predictor="articulated", constraints=ConstraintsConfig(), correctors=())
CONTACTS = StageConfig(name="contacts", learns=("constraints",), steps=200, batch_size=64)
WHOLE = StageConfig(name="whole", learns=("predictor",), steps=200, batch_size=64, learning_rate=1e-4)
RECIPE = Recipe(model=MODEL, first_guess="least_squares", stages=(CONTACTS, WHOLE))


@functools.cache
def hops() -> Trajectories:
    task = load_task("hopper-hop")
    return Trajectories.of(task.facts, [collect_episode(task, PoissonBehaviour(), 200, 0, index) for index in range(4)])


def hopper_trainer(out: Path, recipe: Recipe, resume: bool = False, start: Path | None = None) -> Trainer:
    return Trainer(
        system="hopper-hop",
        recipe=recipe,
        data=TrainingData.of(hops(), "test"),
        out=out,
        resume=resume,
        start=start,
    )


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in trainer.model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_only_an_articulated_predictor_has_masses_to_guess() -> None:
    with pytest.raises(ValidationError, match="first_guess least_squares finds masses, which the predictor rigid_body"):
        Recipe(first_guess="least_squares", stages=(WHOLE,))


def test_a_model_without_constraints_has_no_such_part() -> None:
    with pytest.raises(ValidationError, match="learns constraints; there are: predictor"):
        Recipe(model=ModelConfig(predictor="articulated", correctors=()), stages=(CONTACTS,))


def test_the_guess_predicts_before_any_step_is_trained(tmp_path: Path) -> None:
    neutral = make_trainer(tmp_path / "neutral", RECIPE.model_copy(update={"first_guess": "neutral"}))
    guessed = make_trainer(tmp_path / "guessed", RECIPE)
    errors = [trainer.horizon_errors([16])[16] for trainer in (neutral, guessed)]
    assert errors[1] < 1e-8 < 1e-4 < errors[0]


def test_the_guess_is_reported_once_and_a_stage_without_parts_is_passed_over(tmp_path: Path) -> None:
    reports: list[Report] = []
    make_trainer(tmp_path, RECIPE).run(reports.append)
    assert reports[0].first_guess.startswith("first guess by least squares on ")
    assert not any(report.first_guess for report in reports[1:])
    # A pendulum touches nothing and has no limits.
    assert "stage contacts is passed over: this system has no constraints." in reports[0].note
    assert not any(report.note for report in reports[1:])
    assert [report.stage for report in reports if report.validation is not None] == [0, 1]


def test_a_stage_of_constraints_changes_them_and_nothing_else(tmp_path: Path) -> None:
    trainer = hopper_trainer(tmp_path, RECIPE)
    first = weights(trainer)
    reports = trainer.reports()
    for report in reports:
        if report.validation is not None:
            break
    second = weights(trainer)
    assert changed(first, second)
    assert all(name.startswith("predictor.constraints.") for name in changed(first, second))
    list(reports)
    assert {"predictor.tree.inertia", "predictor.joints.log_damping"} <= changed(second, weights(trainer))


def test_going_on_guesses_nothing_anew(tmp_path: Path) -> None:
    whole = hopper_trainer(tmp_path / "whole", RECIPE)
    list(whole.reports())
    broken = hopper_trainer(tmp_path / "broken", RECIPE)
    next(broken.reports())
    broken.save()
    resumed = hopper_trainer(tmp_path / "broken", RECIPE, resume=True)
    assert not any(report.first_guess for report in resumed.reports())
    assert not changed(weights(whole), weights(resumed))


def test_another_run_that_goes_on_after_the_constraints_keeps_the_masses(tmp_path: Path) -> None:
    first = hopper_trainer(tmp_path / "first", RECIPE.model_copy(update={"stages": (CONTACTS,)}))
    end = first.run(lambda report: None)
    other = RECIPE.model_copy(update={"seed": 1})
    assert not changed(weights(first), weights(hopper_trainer(tmp_path / "second", other, start=end)))
