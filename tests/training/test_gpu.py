"""The same on a GPU as on the CPU, up to float summation."""

from pathlib import Path

import pytest
import torch

import mosim
from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import ConstraintsConfig, CorrectorConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.tasks import load_task
from mosim.training import Recipe, StageConfig, Trainer, TrainingData

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]

_CONFIG = NeuralSimulatorConfig(
    constraints=ConstraintsConfig(), correctors=(CorrectorConfig(inputs=("limit_depth", "contacts")),)
)


def _trajectories(task: str, episodes: int) -> Trajectories:
    system = load_task(task)
    drawn = [collect_episode(system, PoissonBehaviour(), 100, 0, index) for index in range(episodes)]
    return Trajectories.of(system.facts, drawn)


_TREE = NeuralSimulatorConfig(predictor="articulated", constraints=ConstraintsConfig(), correctors=())


@pytest.mark.parametrize("config", [_CONFIG, _TREE], ids=["geometry", "tree"])
@pytest.mark.parametrize("task", ["reacher-easy", "acrobot-swingup", "cartpole-swingup", "hopper-hop", "humanoid-walk"])
def test_a_rollout_and_its_gradient_are_those_of_the_cpu(task: str, config: NeuralSimulatorConfig) -> None:
    facts, trajectories = load_task(task).facts, _trajectories(task, 3)
    torch.manual_seed(0)
    statistics = Statistics.of(facts, trajectories.states[:-1], trajectories.states[1:])
    model = NeuralSimulator(facts, config, statistics)
    state = torch.from_numpy(trajectories.states[:100:10]).float()
    actions = torch.zeros(10, 8, facts.nu)
    results = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        predicted = model.rollout(state.to(device), actions.to(device))
        predicted.square().mean().backward()
        # Where no constraint pushes, its weights have no gradient on one device and zeros on the other.
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in model.parameters()]
        gradient = torch.cat([each.flatten() for each in gradients])
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


def test_a_tree_is_guessed_trained_and_gone_on_with_on_a_gpu(tmp_path: Path) -> None:
    stages = (
        StageConfig(name="identification", learns=("predictor",), optimizer="least_squares"),
        StageConfig(name="contacts", learns=("constraints",), steps=200, batch_size=256, learning_rate=1e-4),
        StageConfig(name="all", learns=("predictor",), steps=100, batch_size=256, learning_rate=1e-4),
    )
    recipe = Recipe(model=_TREE, stages=stages)

    def trainer(resume: bool) -> Trainer:
        data = TrainingData.of(_trajectories("hopper-hop", 4), "test")
        return Trainer(system="hopper-hop", recipe=recipe, data=data, out=tmp_path, device="cuda", resume=resume)

    begun = trainer(resume=False)
    first = next(begun.reports())
    assert first.found.startswith("masses and joint forces by least squares")
    assert {weight.device.type for weight in begun.model.parameters()} == {"cuda"}
    losses: list[float] = []
    trainer(resume=True).run(lambda report: losses.append(report.loss))
    assert losses[-1] < first.loss
    assert next(mosim.load(tmp_path).parameters()).device.type == "cpu"
