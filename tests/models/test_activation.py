"""Activations follow controls as MuJoCo's do, and a simulator of a robot that has them moves as it does."""

import numpy as np
import pytest
import torch

from mechanisms import ACTUATORS
from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import MujocoDynamics, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.robots import System, mjcf_system

EPISODES, STEPS = 6, 400


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    path = tmp_path_factory.mktemp("actuators") / "arm.xml"
    path.write_text(ACTUATORS)
    return mjcf_system(path)


@pytest.fixture(scope="module")
def data(system: System) -> Trajectories:
    episodes = [collect_episode(system, PoissonBehaviour(), STEPS, 0, index) for index in range(EPISODES)]
    return Trajectories.of(system.facts, episodes)


@pytest.fixture(scope="module")
def simulator(system: System, data: Trajectories) -> NeuralSimulator:
    starts = data.windows(1)[: 4 * STEPS]
    states, nexts = data.states[starts], data.states[starts + 1]
    model = NeuralSimulator(system.facts, NeuralSimulatorConfig(), Statistics.of(system.facts, states, nexts)).double()
    model.fit_activations(*(torch.from_numpy(part) for part in (states, data.actions[starts], nexts)))
    return model


def test_filters_and_integrators_are_exact_and_muscles_nearly(simulator: NeuralSimulator, data: Trajectories) -> None:
    starts = data.windows(1)[4 * STEPS :]
    layout = simulator.facts.layout
    state, action, following = (
        torch.from_numpy(part) for part in (data.states[starts], data.actions[starts], data.states[starts + 1])
    )
    predicted = simulator.step(state, action)[:, layout.act]
    worst = (predicted - following[:, layout.act]).abs().amax(0)
    moved = (following - state)[:, layout.act].abs().amax(0)
    assert (worst[:3] < 1e-6 * moved[:3]).all(), "filter, exact filter, and an integrator that meets its limits"
    assert worst[3] < 0.01 * moved[3], "a muscle"
    assert state[:, layout.act][:, 2].abs().max() == 0.5, "the integrator does meet them"


def test_a_rollout_carries_them(simulator: NeuralSimulator, system: System, data: Trajectories) -> None:
    start, actions = torch.from_numpy(data.states[:1]), torch.from_numpy(data.actions[None, :200])
    layout = simulator.facts.layout
    predicted = simulator.rollout(start, actions)[..., layout.act]
    truth = MujocoDynamics(system).rollout(start, actions)[..., layout.act]
    torch.testing.assert_close(predicted[..., :3], truth[..., :3], rtol=0, atol=1e-5)
    torch.testing.assert_close(predicted[..., 3], truth[..., 3], rtol=0, atol=0.02)


def test_mujoco_itself_steps_a_state_with_activations(system: System, data: Trajectories) -> None:
    ends = MujocoDynamics(system).rollout(torch.from_numpy(data.states[:1]), torch.from_numpy(data.actions[None, :50]))
    np.testing.assert_allclose(ends[0].numpy(), data.states[1:51], rtol=0, atol=1e-9)


def test_batch_of_one_equals_batch_of_many(simulator: NeuralSimulator, data: Trajectories) -> None:
    states, actions = torch.from_numpy(data.states[:5]), torch.from_numpy(data.actions[:5])
    together = simulator.step(states, actions)
    alone = torch.stack([simulator.step(state, action) for state, action in zip(states, actions, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_weights_go_with_the_model(simulator: NeuralSimulator, data: Trajectories) -> None:
    other = NeuralSimulator(simulator.facts, simulator.config, simulator.statistics).double()
    other.load_state_dict(simulator.state_dict())
    states, actions = torch.from_numpy(data.states[:5]), torch.from_numpy(data.actions[:5])
    torch.testing.assert_close(other.step(states, actions), simulator.step(states, actions), rtol=0, atol=0)
