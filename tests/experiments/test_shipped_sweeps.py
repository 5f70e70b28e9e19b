"""The sweeps that come with mosim are valid, and are what they say."""

import re
from pathlib import Path

import pytest
import yaml

from mosim.data import collect
from mosim.experiments.sweep.config import read_sweep
from mosim.experiments.sweep.plan import PolicyPlan, SimulatorPlan, plan_sweep
from mosim.training import Recipe, Trainer, TrainingData
from neural_config import neural

FOLDER = Path(__file__).parent.parent.parent / "tune_configs"

NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))

STAGED = [name for name in NAMES if name.endswith("-staged")]

POLICIES = {"zero-shot-reacher": 10}
"""Sweeps of policies, and how many trials they have."""


def planned(name: str) -> SimulatorPlan:
    file = FOLDER / f"{name}.yaml"
    plan = plan_sweep(read_sweep(file), file)
    assert isinstance(plan, SimulatorPlan)
    return plan


def keys(plan: SimulatorPlan) -> list[tuple[int, str] | None]:
    """Of the predictor of each drawn trial."""
    return [plan.predictor_key(plan.recipe(draw, 0), "data") for draw in plan.space.draws(200, 0)]


def test_all_that_are_promised_are_there() -> None:
    assert set(NAMES) >= {
        "reacher-quick",
        "reacher-staged",
        "acrobot-staged",
        "cheetah-staged",
        "hopper-staged",
        "humanoid-staged",
        "staged-vs-joint",
        "integrators",
        "pbt-learning-rates",
        "accuracy-vs-speed",
        *POLICIES,
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_answers_and_how_to_run_it(name: str) -> None:
    question, *others = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert question.startswith("# ")
    assert "?" in question
    assert any(f"mosim sweep tune_configs/{name}.yaml" in line for line in others[:3])
    assert read_sweep(FOLDER / f"{name}.yaml").name == name


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(POLICIES)))
def test_every_trial_of_each_has_a_valid_recipe(name: str) -> None:
    plan = planned(name)
    plan.check()
    assert plan.sweep.minutes is not None
    for draw in plan.draws():
        recipe = plan.recipe(draw, plan.sweep.seeds[0])
        assert sum(stage.minutes or 0 for stage in recipe.stages) == pytest.approx(plan.sweep.minutes)


def test_the_quick_one_fits_into_ten_minutes_of_two_cores() -> None:
    plan = planned("reacher-quick")
    trials = len(plan.draws())
    assert trials >= 8
    assert plan.sweep.minutes is not None
    assert trials * plan.sweep.minutes / 2 <= 5, "half of the time is left for starting and measuring"
    assert plan.sweep.budget.minutes == 10
    assert all(len(plan.recipe(draw, 0).stages) == 3 for draw in plan.draws())


@pytest.mark.parametrize("name", STAGED)
def test_staged_trials_have_one_corrector_or_two_and_share_few_predictors(name: str) -> None:
    plan = planned(name)
    draws = plan.space.draws(200, 0)
    wide = [draw for draw in draws if "model.correctors.1.network.width" in draw]
    assert {draw["structure"] for draw in wide} == {"two correctors"}
    assert {len(neural(plan.recipe(draw, 0).model).correctors) for draw in wide} == {2}
    assert 0 < len(wide) < len(draws)
    by_structure = {
        structure: {key for key, draw in zip(keys(plan), draws, strict=True) if draw["structure"] == structure}
        for structure in ("one corrector", "two correctors")
    }
    one, two = by_structure["one corrector"], by_structure["two correctors"]
    assert len(one & two) >= 0.8 * len(one | two), "those of one corrector are those of two"
    assert len(one | two) <= 18
    assert (plan.sweep.scheduler.kind, plan.sweep.search.kind) == ("asha", "optuna")


def test_staged_and_joint_are_compared_at_every_width_and_the_staged_share_a_predictor() -> None:
    plan = planned("staged-vs-joint")
    assert len(plan.draws()) == 9
    shared = dict(zip(map(str, plan.draws()), keys(plan), strict=True))
    assert sum(key is None for key in shared.values()) == 3
    assert len(set(shared.values()) - {None}) == 1
    assert len({plan.recipe(draw, 0).model.model_dump_json() for draw in plan.draws()}) == 3


def test_integrators_differ_in_nothing_else() -> None:
    plan = planned("integrators")
    recipes = [plan.recipe(draw, 0) for draw in plan.draws()]
    assert len({neural(recipe.model).integrator.model_dump_json() for recipe in recipes}) == len(recipes) == 7
    first = neural(recipes[0].model).integrator
    alike = [recipe.model.model_copy(update={"integrator": first}) for recipe in recipes]
    assert len({model.model_dump_json() for model in alike}) == 1
    assert all(recipe.stages == recipes[0].stages for recipe in recipes)


def test_the_population_is_of_one_architecture() -> None:
    plan = planned("pbt-learning-rates")
    assert len({plan.architecture(draw) for draw in plan.draws()}) == 1
    assert plan.sweep.mutated == tuple(plan.sweep.space)
    assert all(stage.schedule == "constant" for stage in plan.recipe(plan.draws()[0], 0).stages)


def test_accuracy_and_speed_are_both_wanted() -> None:
    assert planned("accuracy-vs-speed").sweep.modes == ("min", "max")


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_trained_in_the_simulator_of_a_whole_run(
    name: str, ray_of_two: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = FOLDER / f"{name}.yaml"
    sweep = read_sweep(file)
    run = tmp_path / "runs" / sweep.task
    dataset = collect(sweep.task, run / "data" / "train", episodes=2, steps=20, workers=1)
    recipe = Recipe.model_validate({"stages": [{"name": "a", "learns": ["predictor"], "steps": 1}]})
    data = TrainingData.load(dataset)
    Trainer(system=sweep.task, recipe=recipe, data=data, out=run / "simulator").run(lambda report: None)
    plan = plan_sweep(sweep, file)
    assert isinstance(plan, PolicyPlan)
    plan.check()
    assert plan.simulator.parent == run / "simulator" / "checkpoints"
    assert plan.data == dataset.uri
    assert len(plan.draws()) == POLICIES[name]


def test_the_sweeps_that_the_documentation_shows_are_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    whole, space = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    for content in (whole, whole | space):
        file = tmp_path / "sweep.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        plan_sweep(read_sweep(file), file).check()


RIVALS = [name for name in NAMES if name.startswith("arrays-")]


def test_models_of_level_arrays_are_tuned_alike() -> None:
    """The same number of trials, of the same length, on the same data, with the same number of weights."""
    plans = [planned(name) for name in RIVALS]
    assert len(plans) == 8
    alike = {(plan.sweep.task, plan.sweep.minutes, plan.sweep.budget.trials, plan.sweep.metric) for plan in plans}
    assert len(alike) == 1
    for plan in plans:
        recipe = plan.recipe(plan.space.draws(1, 0)[0], 0)
        assert recipe.model.knowledge == "arrays"
        assert recipe.model.model_dump()["parameters"] == 200_000
    assert len({plan.recipe(plan.space.draws(1, 0)[0], 0).model.kind for plan in plans}) == 6
