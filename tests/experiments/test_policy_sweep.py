"""Sweeps that train policies in one simulator."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mosim.agents import PolicyRecipe, load_policy_recipe
from mosim.agents.policy import load_policy
from mosim.cli.parsing import parse_with_recipes
from mosim.cli.zero_shot_command import Options, _defaults
from mosim.core.errors import MosimError
from mosim.data import Dataset
from mosim.experiments.sweep.config import read_sweep
from mosim.experiments.sweep.plan import PolicyPlan, plan_sweep
from mosim.training import Recipe, Trainer, TrainingData

TINY = {
    "num_envs": 4,
    "rollout_fragment_length": 16,
    "minibatch_size": 32,
    "num_epochs": 1,
    "hidden": [8],
    "max_episode_steps": 50,
    "eval_interval": 256,
    "eval_episodes": 1,
    "checkpoint_interval": 256,
}


@pytest.fixture
def simulator(tmp_path: Path, pendulum_data: Path) -> Path:
    """The folder of a training run that was hardly any."""
    recipe = Recipe.model_validate({"stages": [{"name": "a", "learns": ["predictor"], "steps": 20, "batch_size": 16}]})
    data = TrainingData.load(Dataset.open(pendulum_data))
    Trainer(system="pendulum-swingup", recipe=recipe, data=data, out=tmp_path / "sim").run(lambda report: None)
    return tmp_path / "sim"


def test_episodes_from_states_of_data_are_swept_where_there_are_data(
    simulator: Path, pendulum_data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sweep.yaml"
    content = {
        "name": "starts",
        "trains": "policy",
        "task": "pendulum-swingup",
        "simulator": str(simulator),
        "space": {"max_episode_steps": {"grid": [25, 100]}, "start": {"grid": ["initial", "mixed"]}},
        "metric": "true_return",
    }
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    plan = plan_sweep(read_sweep(file), file)
    with pytest.raises(
        MosimError, match=r"line 4: key 'simulator': start is mixed.*give data\.path.*max_episode_steps=25"
    ):
        plan.check()
    file.write_text(yaml.safe_dump(content | {"data": {"path": str(pendulum_data)}}, sort_keys=False))
    plan = plan_sweep(read_sweep(file), file)
    plan.check()
    recipes = [plan.recipe(draw, 0) for draw in plan.draws()]
    assert isinstance(plan, PolicyPlan)
    assert plan.data == Dataset.open(pendulum_data).uri
    assert [(recipe.max_episode_steps, recipe.start) for recipe in recipes if isinstance(recipe, PolicyRecipe)] == [
        (25, "initial"), (25, "mixed"), (100, "initial"), (100, "mixed"),
    ]  # fmt: skip


@pytest.mark.slow
def test_policies_are_swept_copied_out_and_gone_on_with(
    simulator: Path, tmp_path: Path, sweep_command: Callable[..., Any]
) -> None:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(TINY))
    command = sweep_command(
        trains="policy",
        simulator=str(simulator),
        recipe="policy.yaml",
        set={"control_steps": 512},
        space={"gamma": {"grid": [0.9, 0.95]}},
        metric="true_return",
        data={},
        minutes=None,
        budget={},
    )
    assert command.run() == 0, command.said
    trials = command.trials
    assert trials["status"].tolist() == ["finished"] * 2
    assert trials["true_return"].is_monotonic_decreasing
    assert (trials["control_steps"] >= 512).all()
    policy = load_policy(command.out / "best")
    actions = policy.act(np.zeros((1, policy.facts.observation_size), np.float32))
    assert np.isfinite(actions).all()
    assert load_policy_recipe("pendulum-swingup", command.out / "best.yaml").gamma == trials["gamma"].iloc[0]
    printed = next(line for line in command.said.splitlines() if line.startswith("full training"))
    program, name, *arguments = shlex.split(printed.removeprefix("full training"))
    assert (program, name) == ("mosim", "zero-shot")
    options = parse_with_recipes(Options, "zero-shot", arguments, _defaults)
    assert (options.task, options.recipe.gamma) == ("pendulum-swingup", trials["gamma"].iloc[0])
    assert options.checkpoint.resolve().parent == simulator / "checkpoints"
    before = {trial: reports[-1]["timestamp"] for trial, reports in command.reports.items()}
    assert command.run("--resume") == 0, command.said
    assert {trial: reports[-1]["timestamp"] for trial, reports in command.reports.items()} == before
