"""Simulator and policy on a GPU: every algorithm trains there, and goes on where there is none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipes import RECIPES, TASK, learner_of

from mosim.agents import PolicyJob, PolicyProgress, PolicyRecipe, load_policy, train_policy, train_side_by_side
from mosim.agents.rllib.algorithm import make_algorithm
from mosim.data import Dataset, collect
from mosim.training import Recipe, Trainer, TrainingData

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
    pytest.mark.usefixtures("ray_of_two"),
]


class StoppedError(Exception):
    """Raised by a training's listener, in the middle of it."""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside its data."""
    folder = tmp_path_factory.mktemp("gpu")
    dataset = collect(TASK, folder / "data" / "train", episodes=4, steps=200, workers=1)
    recipe = Recipe.model_validate({"stages": [{"name": "a", "learns": ["predictor"], "steps": 200}]})
    data = TrainingData.load(Dataset.open(dataset.uri))
    Trainer(system=TASK, recipe=recipe, data=data, out=folder / "run").run(lambda report: None)
    return folder / "run"


@pytest.mark.parametrize("name", RECIPES)
def test_simulator_and_policy_both_live_there(name: str, simulator: Path) -> None:
    algorithm: Any = make_algorithm(RECIPES[name], TASK, simulator, device="cuda")
    try:
        algorithm.train()
        runner, learner = algorithm.env_runner, learner_of(algorithm)
        places = {tensor.device.type for tensor in (*runner.module.parameters(), *learner.module.parameters())}
        assert places == {"cuda"}
        assert runner.env.unwrapped.state.device.type == "cuda"
    finally:
        algorithm.stop()


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_begun_there_goes_on_without_one(name: str, simulator: Path, tmp_path: Path) -> None:
    recipe: PolicyRecipe = RECIPES[name].model_copy(update={"start": "mixed"})

    def stop(progress: PolicyProgress) -> None:
        if progress.steps >= 800:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_policy(recipe, TASK, simulator, tmp_path, on_progress=stop, device="cuda")
    result = train_policy(recipe, TASK, simulator, tmp_path, resume=True)
    assert next(load_policy(result.policy).parameters()).device.type == "cpu"


@pytest.mark.parametrize(("sources", "runners"), [(("zero-shot", "true"), 0), (("zero-shot",), 1)])
def test_trainings_side_by_side_and_their_runners_share_one(
    sources: tuple[str, ...], runners: int, simulator: Path, tmp_path: Path
) -> None:
    recipe = RECIPES["PPO"].model_copy(update={"num_env_runners": runners})
    dynamics = {"zero-shot": str(simulator), "true": "true"}
    jobs = {
        name: PolicyJob(
            recipe=recipe, task_name=TASK, dynamics_source=dynamics[name], out=tmp_path / name, device="cuda"
        )
        for name in sources
    }
    assert set(train_side_by_side(jobs)) == set(jobs)
