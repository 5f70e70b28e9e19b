"""Stages that solve for a robot's masses, contacts and limits, and the parts that other stages train."""

import functools
from pathlib import Path

import pytest
import torch
from pendulum_run import make_trainer
from pydantic import ValidationError

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import ConstraintsConfig, CorrectorConfig, NeuralSimulator, NeuralSimulatorConfig
from mosim.models.mosim.identification.solving import solve
from mosim.tasks import load_task
from mosim.training import Recipe, Report, StageConfig, Trainer, TrainingData
from mosim.training.validation import Validation, WindowErrors
from mosim.training.windows import WindowSampler

MODEL = NeuralSimulatorConfig(predictor="articulated", constraints=ConstraintsConfig(), correctors=())
SOLVE = StageConfig(name="identification", learns=("predictor",), optimizer="least_squares")
CONTACTS = StageConfig(name="contacts", learns=("constraints",), steps=100, batch_size=32)
WHOLE = StageConfig(name="whole", learns=("predictor",), steps=100, batch_size=32, learning_rate=1e-4)
RECIPE = Recipe(model=MODEL, stages=(SOLVE, CONTACTS, WHOLE))


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


def test_only_an_articulated_predictor_has_masses_to_find() -> None:
    with pytest.raises(ValidationError, match="least_squares fits masses, which the model rigid_body"):
        Recipe(stages=(SOLVE,))


def test_least_squares_finds_no_networks() -> None:
    solving = StageConfig(name="solve", learns=("predictor", "corrector/0"), optimizer="least_squares")
    with pytest.raises(ValidationError, match="can train only predictor and constraints, not corrector/0"):
        Recipe(model=MODEL.model_copy(update={"correctors": (CorrectorConfig(),)}), stages=(solving,))


def test_a_model_without_constraints_has_no_such_part() -> None:
    with pytest.raises(ValidationError, match="learns constraints; available: predictor"):
        Recipe(model=NeuralSimulatorConfig(predictor="articulated", correctors=()), stages=(CONTACTS,))


def test_a_budget_is_shared_among_the_stages_that_take_steps() -> None:
    assert RECIPE.within(3.0).stages[0] == SOLVE
    assert [stage.minutes for stage in RECIPE.within(3.0).stages] == [None, 1.5, 1.5]
    assert RECIPE.model_copy(update={"stages": (SOLVE,)}).within(3.0).stages == (SOLVE,)


def test_a_solved_pendulum_is_exact_and_what_was_found_is_told_once(tmp_path: Path) -> None:
    reports: list[Report] = []
    make_trainer(tmp_path, RECIPE).run(reports.append)
    assert reports[0].found.startswith("masses and joint forces by least squares on ")
    assert reports[0].validation is not None
    assert reports[0].validation < 1e-8
    assert reports[0].seconds > 0
    assert not any(report.found for report in reports[1:])
    # A pendulum touches nothing and has no limits.
    assert "stage contacts is skipped: this system has no constraints." in reports[1].note
    assert [report.stage for report in reports if report.validation is not None] == [0, 1, 2]


def test_masses_contacts_and_limits_are_found_and_a_stage_of_contacts_changes_nothing_else(tmp_path: Path) -> None:
    trainer = hopper_trainer(tmp_path, RECIPE)
    ends = (report for report in trainer.reports() if report.validation is not None)
    begun = weights(trainer)
    solved = next(ends)
    assert solved.validation is not None
    assert solved.validation < 1e-6
    assert "constraints by least squares on " in solved.found
    first = weights(trainer)
    assert {"predictor.tree.inertia", "predictor.constraints.contacts.compliance.shared"} <= changed(begun, first)
    next(ends)
    second = weights(trainer)
    assert changed(first, second)
    assert all(name.startswith("predictor.constraints.") for name in changed(first, second))
    next(ends)
    assert {"predictor.tree.inertia", "predictor.joints.log_damping"} <= changed(second, weights(trainer))


def test_a_stage_that_makes_predictions_worse_can_be_undone(tmp_path: Path) -> None:
    spoil = WHOLE.model_copy(update={"learning_rate": 1.0, "undo": True})
    trainer = make_trainer(tmp_path, RECIPE.model_copy(update={"stages": (SOLVE, spoil)}))
    ends = [report for report in trainer.reports() if report.validation is not None]
    assert ends[1].note.startswith("stage whole is undone: the horizon error at 16 was ")
    assert ends[1].validation == ends[0].validation
    solved = make_trainer(tmp_path / "solved", RECIPE.model_copy(update={"stages": (SOLVE,)}))
    solved.run(lambda report: None)
    assert not changed(weights(solved), weights(trainer))


@pytest.mark.parametrize(("after", "kept"), [((0.9, 5e-6), False), ((0.5, 1.5e-6), True), ((1.5, 1e-7), True)])
def test_a_stage_that_helps_a_few_starts_and_spoils_the_others_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: tuple[float, float], kept: bool
) -> None:
    trainer = make_trainer(
        tmp_path, RECIPE.model_copy(update={"stages": (SOLVE, WHOLE.model_copy(update={"undo": True}))})
    )
    measured = iter([WindowErrors(1.0, 1e-6), WindowErrors(1.0, 1e-6), WindowErrors(*after)])  # The first ends SOLVE.
    monkeypatch.setattr(Validation, "window_errors", lambda validation, model: next(measured))
    ends = [report for report in trainer.reports() if report.validation is not None]
    assert ends[1].note.startswith("stage whole is undone: ") != kept
    assert ends[1].validation == (after[0] if kept else 1.0)


@pytest.mark.parametrize(("share", "skipped"), [(1e-4, True), (1e-30, False)])
def test_a_stage_is_skipped_where_the_simulator_is_exact_enough(tmp_path: Path, share: float, skipped: bool) -> None:
    whole = WHOLE.model_copy(update={"skip_below": share})
    trainer = make_trainer(tmp_path, RECIPE.model_copy(update={"stages": (SOLVE, whole)}))
    ends = (report for report in trainer.reports() if report.validation is not None)
    next(ends)
    before = weights(trainer)
    note = next(ends).note
    assert note.startswith("stage whole is skipped: the horizon error at 16, ") == skipped
    assert bool(changed(before, weights(trainer))) != skipped


def test_a_simulator_that_is_worse_than_no_change_is_known_at_its_end(tmp_path: Path) -> None:
    reports: list[Report] = []
    make_trainer(tmp_path, RECIPE.model_copy(update={"stages": (SOLVE, WHOLE)})).run(reports.append)
    last = reports[-1]
    assert last.validation is not None
    assert last.persistence is not None
    assert last.validation < 1e-3 * last.persistence
    assert not last.worse_than_no_change
    assert last._replace(validation=2 * last.persistence).worse_than_no_change
    assert last._replace(validation=float("nan")).worse_than_no_change
    assert not last._replace(validation=2 * last.persistence, stage=0).worse_than_no_change


def test_a_run_that_goes_on_solves_nothing_anew(tmp_path: Path) -> None:
    whole = hopper_trainer(tmp_path / "whole", RECIPE)
    list(whole.reports())
    broken = hopper_trainer(tmp_path / "broken", RECIPE)
    next(broken.reports())
    resumed = hopper_trainer(tmp_path / "broken", RECIPE, resume=True)
    assert not any(report.found for report in resumed.reports())
    assert not changed(weights(whole), weights(resumed))


def test_another_run_that_goes_on_after_the_stage_keeps_what_it_found(tmp_path: Path) -> None:
    first = hopper_trainer(tmp_path / "first", RECIPE.model_copy(update={"stages": (SOLVE,)}))
    end = first.run(lambda report: None)
    other = RECIPE.model_copy(update={"seed": 1})
    assert not changed(weights(first), weights(hopper_trainer(tmp_path / "second", other, start=end)))


def test_contacts_that_predict_worse_than_before_are_undone() -> None:
    task, data = load_task("hopper-hop"), TrainingData.of(hops(), "test")
    model = NeuralSimulator(task.facts, MODEL, data.statistics)
    sampler = WindowSampler(*data.tensors(torch.device("cpu")), data.offsets, range(2), 0)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = solve(model, ["constraints"], sampler, iter([1.0, 2.0]).__next__)
    assert "from 1 to 2 and is undone" in found
    assert not changed(before, model.state_dict())
    for first, second in ((2.0, 1.0), (float("nan"), 1.0)):
        assert "is undone" not in solve(model, ["constraints"], sampler, iter([first, second]).__next__)
        assert changed(before, model.state_dict())


@pytest.mark.parametrize(("steps", "noise_is_told"), [(3, False), (60, True)])
def test_noisy_states_are_fitted_however_short_episodes_are(steps: int, noise_is_told: bool) -> None:
    task = load_task("acrobot-swingup")
    episodes = [collect_episode(task, PoissonBehaviour(), steps, 0, index) for index in range(600 // steps)]
    clean = Trajectories.of(task.facts, episodes)
    noise = torch.randn(clean.states.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    states = clean.states + 0.01 * clean.states.std(axis=0) * noise
    data = TrainingData.of(Trajectories(clean.facts, states, clean.actions, clean.offsets, clean.contexts), "noisy")
    sampler = WindowSampler(*data.tensors(torch.device("cpu")), data.offsets, range(data.episodes), seed=0)
    simulator = NeuralSimulator(data.facts, MODEL, data.statistics)
    found = solve(simulator, ("predictor",), sampler, lambda: 1.0)
    assert ("; measurement noise is " in found) == noise_is_told
    assert "; masses and joint forces by least squares on " in found
