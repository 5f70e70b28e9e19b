"""A file never has a module imported that the user did not ask for by name on the command line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.rllib.algorithms.ppo import PPOConfig

from mosim.agents import OtherRecipe, PPORecipe, load_policy_recipe, train_policy
from mosim.cli.parsing import parse_with_recipes
from mosim.cli.zero_shot_command import Options, _defaults
from mosim.core.errors import MosimError
from mosim.core.run_identity import keep_identity
from mosim.experiments.sweep import plan_sweep, read_sweep

Mosim = Callable[..., subprocess.CompletedProcess[str]]


class MineConfig(PPOConfig):
    """An algorithm of the user's own."""


MINE = f"{__name__}:MineConfig"


@pytest.mark.parametrize("command", ["zero-shot", "run", "sweep"])
def test_a_recipe_that_names_a_module_is_refused_before_it_runs(
    command: str, hostile_module: str, mark: Path, simulator: Path, mosim: Mosim, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"algorithm: {hostile_module}:Config\n")
    sweep = {"name": "s", "trains": "policy", "task": "reacher-easy", "simulator": str(simulator)}
    sweep |= {"recipe": "recipe.yaml", "space": {"seed": {"grid": [0]}}, "metric": "true_return"}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    arguments = {
        "zero-shot": [str(simulator), "--task", "reacher-easy", "--out", "out", "--recipe", "recipe.yaml"],
        "run": ["reacher-easy", "--out", "out", "--policy-recipe", "recipe.yaml"],
        "sweep": ["sweep.yaml", "--out", "out"],
    }[command]
    result = mosim(command, *arguments, cwd=tmp_path)
    assert not mark.exists()
    assert result.returncode == 2, result.stderr
    said = " ".join(result.stderr.split())
    assert f"recipe.yaml, line 1: the recipe names '{hostile_module}:Config', and importing it would run" in said
    assert "--allow-imports" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"set": {"algorithm": "{module}:Config"}},
        {"space": {"algorithm": {"grid": ["MARWILConfig", "{module}:Config"]}}},
        {"space": {"kind": {"grid": {"theirs": {"algorithm": "{module}:Config"}}}}},
    ],
)
def test_a_sweep_that_names_a_module_is_refused_before_it_runs(
    change: dict[str, Any], hostile_module: str, mark: Path, simulator: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sweep.yaml"
    (tmp_path / "recipe.yaml").write_text("algorithm: MARWILConfig\n")
    sweep = {"name": "s", "trains": "policy", "task": "reacher-easy", "simulator": str(simulator)}
    sweep |= {"recipe": "recipe.yaml", "space": {"seed": {"grid": [0]}}, "metric": "true_return"}
    file.write_text(yaml.safe_dump(sweep | change).replace("{module}", hostile_module))
    with pytest.raises(MosimError, match=r"sweep\.yaml, line \d+: .*--allow-imports"):
        plan_sweep(read_sweep(file), file).check()
    assert not mark.exists()


def test_a_policy_s_own_record_is_compared_and_not_obeyed(hostile_module: str, mark: Path, tmp_path: Path) -> None:
    recipe = PPORecipe(control_steps=64, num_envs=4, rollout_fragment_length=16, minibatch_size=32)
    keep_identity(tmp_path, {"recipe": {"algorithm": f"{hostile_module}:Config"}})
    with pytest.raises(MosimError, match="holds another run"):
        train_policy(recipe, "reacher-easy", "true", tmp_path, resume=True)
    assert not mark.exists()


def test_a_recipe_is_read_without_an_import(hostile_module: str, mark: Path) -> None:
    recipe = OtherRecipe(algorithm=f"{hostile_module}:Config")
    OtherRecipe.model_validate(recipe.model_dump(mode="json"))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["..marwilConfig", "marwil.marwilConfig", ".Config", ":Config", "a:", "a b:C", "..:C"])
def test_a_name_reaches_rllib_s_own_algorithms_or_is_a_whole_module_name(name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(MosimError, match=r"neither the name of an RLlib|unknown algorithm|package\.module:Class"):
        load_policy_recipe("reacher-easy", algorithm=name)
    assert not {each for each in sys.modules.keys() - before if "marwil" in each}


def test_what_the_user_asks_for_is_imported(tmp_path: Path, simulator: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"algorithm: {MINE}\nsettings: {{lr: 0.001}}\n")
    with pytest.raises(MosimError, match="--allow-imports"):
        load_policy_recipe("reacher-easy", file)
    wanted = OtherRecipe(algorithm=MINE, settings={"lr": 0.001})
    assert load_policy_recipe("reacher-easy", file, allow_imports=True) == wanted
    assert load_policy_recipe("reacher-easy", file, MINE) == wanted
    assert load_policy_recipe("reacher-easy", algorithm=MINE) == OtherRecipe(algorithm=MINE)
    arguments = [str(simulator), "--task", "reacher-easy", "--out", "out", "--recipe", str(file), "--allow-imports"]
    assert parse_with_recipes(Options, "zero-shot", arguments, _defaults).recipe == wanted
    sweep = {"name": "s", "trains": "policy", "task": "reacher-easy", "simulator": str(simulator)}
    sweep |= {"recipe": "recipe.yaml", "space": {"seed": {"grid": [0]}}, "metric": "true_return"}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    plan = plan_sweep(read_sweep(tmp_path / "sweep.yaml"), tmp_path / "sweep.yaml", allow_imports=True)
    plan.check()
    assert plan.recipe({"seed": 0}, 3) == wanted.model_copy(update={"seed": 3})


def test_settings_are_checked_once_the_import_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"algorithm: {MINE}\nsettings: {{nonsense: 1}}\n")
    with pytest.raises(MosimError, match=r"settings do not fit .*MineConfig: .*nonsense"):
        load_policy_recipe("reacher-easy", file, allow_imports=True)
    with pytest.raises(MosimError, match="cannot be imported: No module named 'nowhere'"):
        load_policy_recipe("reacher-easy", algorithm="nowhere:Config")
