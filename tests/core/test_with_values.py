"""Values set into a record by dotted names."""

import pytest

from mosim.core.configuration import with_values
from mosim.core.errors import MosimError
from mosim.training import Recipe, load_recipe
from neural_config import neural

RECIPE = load_recipe("", "geometry/general")


def test_a_value_in_a_list_a_whole_part_and_a_whole_list() -> None:
    stage = {"name": "all", "learns": ["predictor"], "steps": 10}
    values = {
        "model.correctors": [],
        "model.bias": {"width": 7},
        "stages": [stage],
        "stages.0.steps": 20,
    }
    changed = with_values(RECIPE, values, "here")
    assert neural(changed.model).correctors == ()
    assert (neural(changed.model).bias.width, neural(changed.model).bias.depth) == (7, 2)
    assert [stage.steps for stage in changed.stages] == [20]
    assert changed.seed == RECIPE.seed
    assert stage["steps"] == 10, "what was given is not changed"


def test_nothing_set_is_the_same() -> None:
    assert with_values(RECIPE, {}, "here") == RECIPE


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("modle", 1, "here: there is no 'modle'; available: model, stages, seed, episodes, newest_weight, validation_"),
        ("stages.first.steps", 1, "there is no 'stages.first.steps'; available in 'stages': 0, 1"),
        ("model.bias.width.x", 1, "there is no 'model.bias.width.x': model.bias.width is 128, which has no keys"),
        ("model.bias.width", "wide", "here: key 'model.bias.width' is 'wide'; input should be a valid integer"),
        ("model.integrator.method", "rk5", "'semi_implicit_euler'"),
        ("", 1, "here: there is no ''; available: model"),
    ],
)
def test_a_mistake_names_what_exists(name: str, value: object, expected: str) -> None:
    with pytest.raises(MosimError) as error:
        with_values(RECIPE, {name: value}, "here")
    assert expected in str(error.value)
    assert isinstance(RECIPE, Recipe)
