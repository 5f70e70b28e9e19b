"""The same on a GPU as on the CPU, up to float summation."""

from pathlib import Path

import pytest
import torch

import mosim
from mosim.dynamics import ConstraintsConfig, CorrectorConfig, ModelConfig, NeuralSimulator, Statistics
from mosim.systems import load_task
from mosim.training import Recipe, StageConfig, Trainer, TrainingData
from mosim.trajectories import PoissonBehaviour, Trajectories, collect_episode

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]

_CONFIG = ModelConfig(
    constraints=ConstraintsConfig(), correctors=(CorrectorConfig(inputs=("limit_depth", "contacts")),)
)


def _trajectories(task: str, episodes: int) -> Trajectories:
    system = load_task(task)
    drawn = [collect_episode(system, PoissonBehaviour(), 100, 0, index) for index in range(episodes)]
    return Trajectories.of(system.facts, drawn)


@pytest.mark.parametrize("task", ["reacher-easy", "cartpole-swingup", "hopper-hop", "humanoid-walk"])
def test_a_rollout_and_its_gradient_are_those_of_the_cpu(task: str) -> None:
    facts, trajectories = load_task(task).facts, _trajectories(task, 3)
    torch.manual_seed(0)
    statistics = Statistics.of(facts, trajectories.states[:-1], trajectories.states[1:])
    model = NeuralSimulator(facts, _CONFIG, statistics)
    state = torch.from_numpy(trajectories.states[:100:10]).float()
    actions = torch.zeros(10, 8, facts.nu)
    results = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        predicted = model.rollout(state.to(device), actions.to(device))
        predicted.square().mean().backward()
        gradient = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
        results.append((predicted.detach().cpu(), gradient.cpu()))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-2, atol=1e-2 * results[0][1].abs().max().item())


def test_a_simulator_trained_on_a_gpu_is_loaded_without_one(tmp_path: Path) -> None:
    recipe = Recipe(
        model=_CONFIG,
        stages=(StageConfig(name="one", learns=("predictor", "corrector/0"), steps=200, batch_size=256),),
    )
    losses: list[float] = []
    Trainer(
        system="hopper-hop",
        recipe=recipe,
        data=TrainingData.of(_trajectories("hopper-hop", 4), "test"),
        out=tmp_path,
        device="cuda",
    ).run(lambda report: losses.append(report.loss))
    assert losses[-1] < losses[0]
    model = mosim.load(tmp_path)
    assert next(model.parameters()).device.type == "cpu"
    assert torch.isfinite(model.rollout(torch.zeros(2, 14), torch.zeros(2, 5, 4))).all()
