from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mosim.core.errors import MosimError, UnknownNameError
from mosim.training import Recipe, StageConfig, load_recipe, recipe_names


def test_every_shipped_recipe_is_valid_and_fits_a_budget() -> None:
    import mosim

    folder = Path(mosim.__file__).parent / "recipes" / "simulators"
    shipped = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    assert {"general", "geometry/general", "geometry/large", "arrays/general"} <= shipped
    assert shipped == set(recipe_names())
    for name in shipped:
        recipe = load_recipe("", name)
        minutes = sum(stage.minutes or 0 for stage in recipe.within(3).stages)
        assert minutes == pytest.approx(0 if all(stage.solves for stage in recipe.stages) else 3)


def test_folders_are_levels_of_knowledge_and_the_top_is_the_tree() -> None:
    for name in recipe_names():
        level, _, _ = name.rpartition("/")
        assert load_recipe("", name).model.knowledge == (level or "tree"), name


def test_every_system_with_a_recipe_has_one_at_the_levels_of_the_tree_and_the_geometry() -> None:
    top = {name for name in recipe_names() if "/" not in name}
    geometry = {name.removeprefix("geometry/") for name in recipe_names() if name.startswith("geometry/")}
    assert geometry - top == {"large"}
    assert top <= geometry


def test_the_general_recipe_takes_two_minutes_of_steps_and_that_of_arrays_twenty() -> None:
    minutes = {name: sum(stage.minutes or 0 for stage in load_recipe("", name).stages) for name in recipe_names()}
    assert 1.5 < minutes["general"] < 2
    assert minutes["arrays/general"] == pytest.approx(20)


def test_a_system_without_a_recipe_gets_the_general_one() -> None:
    assert load_recipe("no-such-system") == load_recipe("", "general")
    assert load_recipe("no-such-system", "geometry") == load_recipe("", "geometry/general")
    assert load_recipe("large", "geometry") == load_recipe("", "geometry/large")
    assert load_recipe("reacher", "arrays") == load_recipe("", "arrays/general")


def test_a_level_takes_the_system_s_recipe_of_that_level() -> None:
    assert load_recipe("reacher", "geometry") == load_recipe("cheetah", "geometry/reacher") != load_recipe("reacher")


def test_a_recipe_is_asked_for_by_name_or_file(tmp_path: Path) -> None:
    assert load_recipe("reacher", "geometry/large") != load_recipe("reacher", "geometry")
    assert load_recipe("reacher", "general") == load_recipe("arm") != load_recipe("reacher")
    (tmp_path / "mine.yaml").write_text("stages: [{name: a, learns: [predictor], steps: 1}]")
    assert load_recipe("reacher", tmp_path / "mine.yaml").stages[0].name == "a"
    with pytest.raises(UnknownNameError, match=r"'lagre'.*large"):
        load_recipe("reacher", "lagre")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stages: [{name: a, learns: [predictor], steps: 1, stepz: 2}]", "stages.0.stepz"),
        ("stages: [{name: a, learns: [predictor], steps: -1}]", "stages.0.steps"),
        ("stages: [{name: a, learns: [predictor]}]", "needs steps or minutes"),
        ("stages: [{name: a, learns: [corrector/1], steps: 1}]", "available: predictor, corrector/0"),
        ("stages: []", "stages"),
        (
            "model: {integrator: {method: rk5}}\nstages: [{name: a, learns: [predictor], steps: 1}]",
            "semi_implicit_euler",
        ),
        ("stages: [", "is not valid YAML"),
        ("seed: 1", "'stages' is missing"),
    ],
)
def test_mistakes_name_the_file_the_key_and_what_is_allowed(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(MosimError) as error:
        load_recipe("reacher", file)
    assert "mine.yaml" in str(error.value)
    assert expected in str(error.value)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.floats(0.01, 1000))
def test_a_budget_keeps_proportions(minutes: list[float], budget: float) -> None:
    stages = tuple(
        StageConfig(name=str(index), learns=("predictor",), minutes=value) for index, value in enumerate(minutes)
    )
    fitted = [stage.minutes or 0 for stage in Recipe(stages=stages).within(budget).stages]
    assert sum(fitted) == pytest.approx(budget)
    assert [value / budget for value in fitted] == pytest.approx([value / sum(minutes) for value in minutes])


def test_steps_share_a_budget_by_their_network_calls() -> None:
    one = StageConfig(name="one", learns=("predictor",), steps=100, batch_size=10)
    three = StageConfig(name="three", learns=("predictor",), steps=50, batch_size=20, horizon=3)
    assert [stage.minutes for stage in Recipe(stages=(one, three)).within(4).stages] == pytest.approx([1, 3])


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_recipe("general").seed = 3  # pyright: ignore[reportAttributeAccessIssue]
