from importlib import resources
from pathlib import Path

import pytest
from pydantic import Field

from mosim.agents import ALGORITHMS, PPORecipe, load_policy_recipe
from mosim.core.configuration import read_yaml_model, validate
from mosim.core.errors import MosimError
from mosim.core.frozen import Frozen
from mosim.tasks import task_names


class Part(Frozen):
    width: int = Field(1, ge=1)


class Whole(Frozen):
    name: str
    parts: tuple[Part, ...] = ()


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_every_shipped_recipe_is_read_and_belongs_to_a_task() -> None:
    with resources.as_file(resources.files("mosim") / "recipes" / "policies") as folder:
        shipped = {
            ("ppo" if path.parent == folder else path.parent.name, path.stem) for path in folder.glob("**/*.yaml")
        }
    assert {algorithm.upper() for algorithm, _ in shipped} == ALGORITHMS.keys()
    assert {(name.lower(), "default") for name in ALGORITHMS} | {("ppo", "reacher-easy")} <= shipped
    assert {task for _, task in shipped} - {"default"} <= set(task_names())
    for algorithm, task in shipped:
        recipe = load_policy_recipe(task, algorithm=algorithm)
        assert recipe.algorithm == algorithm.upper()
        assert task == "default" or recipe != load_policy_recipe("default", algorithm=algorithm)


def test_a_task_without_its_own_recipe_has_the_default_one() -> None:
    assert load_policy_recipe("walker-walk") == load_policy_recipe("default")


def test_a_file_takes_the_place_of_the_shipped_recipe(tmp_path: Path) -> None:
    recipe = load_policy_recipe("reacher-easy", recipe_file(tmp_path, "gamma: 0.5\nhidden: [8]\n"))
    assert recipe == PPORecipe(gamma=0.5, hidden=(8,))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gama: 0.9\n", r"recipe\.yaml, line 1: unknown key 'gama'; allowed are: action_repeat, .*gamma"),
        ("gamma: 1.5\n", r"recipe\.yaml, line 1: key 'gamma' is 1\.5; input should be less than or equal to 1"),
        ("algorithm: DQN\n", "unknown algorithm 'DQN'; allowed are: ppo, appo"),
        (
            "num_envs: 2\nrollout_fragment_length: 4\nminibatch_size: 16\n",
            r"recipe\.yaml: .*minibatch_size must be at most num_envs \* rollout_fragment_length",
        ),
        ("num_envs: 63\nnum_env_runners: 2\n", "num_envs must be a multiple of num_env_runners"),
        ("- gamma\n", "must contain keys and values.*and not a list"),
        ("gamma: [\n", "is not valid YAML: .*line 2"),
    ],
)
def test_a_mistake_is_told_with_file_key_and_what_is_allowed(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(MosimError, match=sentence):
        load_policy_recipe("reacher-easy", recipe_file(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match=r"nowhere\.yaml cannot be read"):
        load_policy_recipe("reacher-easy", tmp_path / "nowhere.yaml")


def test_mistakes_in_nested_lists_name_their_place_and_the_keys_allowed_there(tmp_path: Path) -> None:
    with pytest.raises(
        MosimError, match=r"key 'name' is missing; .*unknown key 'parts\.1\.depth'; allowed are: width\."
    ):
        read_yaml_model(recipe_file(tmp_path, "parts:\n- width: 2\n- depth: 3\n"), Whole)
    with pytest.raises(MosimError, match=r"here: key 'parts\.0\.width' is 0; input should be greater than"):
        validate({"name": "a", "parts": [{"width": 0}]}, Whole, "here")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    text = f"gamma: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]\n"
    with pytest.raises(MosimError, match="is not valid YAML"):
        load_policy_recipe("reacher-easy", recipe_file(tmp_path, text))
    assert not marker.exists()
