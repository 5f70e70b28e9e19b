"""The studies that come with mosim are valid, and compare what they say."""

from pathlib import Path

import pytest

from mosim.studies import plan_study, read_study
from mosim.training import recipe_names

ROOT = Path(__file__).parent.parent.parent


def test_the_accuracy_benchmark_takes_the_shipped_recipes_as_they_are() -> None:
    file = ROOT / "benchmarks" / "accuracy.yaml"
    plan = plan_study(read_study(file), file)
    assert len(plan.runs) == 4 * 3 + 3
    assert {run.recipe.seed for run in plan.runs if run.system == "hopper-hop"} == {0, 1, 2}
    assert [run.name for run in plan.runs if run.system == "humanoid-walk"] == ["humanoid-walk/recipe/seed-0"]


def test_the_ablation_s_variants_have_the_same_budget_and_differ() -> None:
    file = ROOT / "studies" / "ablation.yaml"
    plan = plan_study(read_study(file), file)
    assert len(plan.runs) == 2 * 10 * 3
    for run in plan.runs:
        assert sum(stage.minutes or 0 for stage in run.recipe.stages) == pytest.approx(3)
    recipes = {run.variant.name: run.recipe for run in plan.runs if run.seed == 0}
    assert len({recipe.model_dump_json() for recipe in recipes.values()}) == 10
    assert recipes["one residual network"].model.predictor == "network"


def test_the_general_study_is_of_systems_without_recipes() -> None:
    file = ROOT / "benchmarks" / "general.yaml"
    for run in plan_study(read_study(file), file).runs:
        assert run.system.split("-")[0] not in recipe_names()
