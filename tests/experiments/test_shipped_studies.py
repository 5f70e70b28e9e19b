"""The studies that come with mosim are valid, and compare what they say."""

from pathlib import Path

import pytest

from mosim.experiments.study import plan_study, read_study
from mosim.training import load_recipe, recipe_names
from neural_config import neural

ROOT = Path(__file__).parent.parent.parent


def test_the_accuracy_benchmark_takes_the_shipped_recipes_of_every_level_as_they_are() -> None:
    file = ROOT / "benchmarks" / "accuracy.yaml"
    plan = plan_study(read_study(file), file)
    assert len(plan.runs) == 3 * 7 * 3
    assert {run.recipe.seed for run in plan.runs if run.system == "hopper-hop"} == {0, 1, 2}
    levels = ("tree", "geometry", "arrays")
    names = [f"humanoid-walk/{level}/seed-{seed}" for level in levels for seed in range(3)]
    assert [run.name for run in plan.runs if run.system == "humanoid-walk"] == names
    assert all(run.recipe.model.knowledge == run.variant.name for run in plan.runs)
    shipped = {"tree": None, "geometry": "geometry", "arrays": "arrays"}
    for run in plan.runs:
        recipe = load_recipe(run.system.split("-")[0], shipped[run.variant.name])
        assert run.recipe == recipe.model_copy(update={"seed": run.seed})


def test_the_benchmark_of_episodes_has_every_level_at_every_number_of_them() -> None:
    file = ROOT / "benchmarks" / "episodes.yaml"
    plan = plan_study(read_study(file), file)
    found = {(run.system, run.recipe.model.knowledge, run.episodes, run.recipe.episodes) for run in plan.runs}
    assert found == {
        (system, level, count, count)
        for system in ("cheetah-run", "hopper-hop", "humanoid-walk")
        for level in ("tree", "geometry", "arrays")
        for count in (1, 3, 10, 30, 100, 300)
    }
    assert len({run.name for run in plan.runs}) == len(plan.runs) == len(found)


def test_the_ablation_s_variants_have_the_same_budget_and_differ() -> None:
    file = ROOT / "studies" / "ablation.yaml"
    plan = plan_study(read_study(file), file)
    assert len(plan.runs) == 2 * 10 * 3
    for run in plan.runs:
        assert sum(stage.minutes or 0 for stage in run.recipe.stages) == pytest.approx(3)
    recipes = {run.variant.name: run.recipe for run in plan.runs if run.seed == 0}
    assert len({recipe.model_dump_json() for recipe in recipes.values()}) == 10
    assert neural(recipes["one residual network"].model).predictor == "network"


def test_the_general_study_is_of_systems_without_recipes() -> None:
    file = ROOT / "benchmarks" / "general.yaml"
    runs = plan_study(read_study(file), file).runs
    assert {run.recipe.model.knowledge for run in runs} == {"tree", "geometry", "arrays"}
    for run in runs:
        assert run.system.split("-")[0] not in recipe_names()
