"""Environments over a simulator's checkpoint; untrained, since only the contract is tested."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import mosim
from mosim.core.errors import MismatchError
from mosim.models import CorrectorConfig, NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.tasks import load_task
from mosim.training.checkpoint import save_checkpoint

SMALL = NetworkConfig(width=16, depth=1)
CONFIG = NeuralSimulatorConfig(inertia=SMALL, bias=SMALL, correctors=(CorrectorConfig(network=SMALL),))

BATCHED = 1e-4
"""float32 products of a batch are summed in another order than those of a row."""


@pytest.fixture(scope="module", params=["reacher-easy", "hopper-hop"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    torch.manual_seed(0)
    facts = load_task(request.param).facts
    model = NeuralSimulator(facts, CONFIG, Statistics.neutral(facts))
    folder = tmp_path_factory.mktemp(request.param)
    path = save_checkpoint(
        folder, "step-1", model, {}, system=request.param, recipe={}, dataset_id="none", cursor={"finished": True}
    )
    return request.param, path


def test_gymnasiums_checks_pass(checkpoint: tuple[str, Path]) -> None:
    name, path = checkpoint
    env = gymnasium.make(f"MoSim/{name}-v0", checkpoint=path)
    check_env(env.unwrapped)
    true = gymnasium.make(f"MoSimTrue/{name}-v0")
    assert env.observation_space == true.observation_space
    assert env.action_space == true.action_space
    np.testing.assert_allclose(env.reset(seed=3)[0], true.reset(seed=3)[0], atol=1e-6)


def test_a_batch_of_one_is_a_row_of_a_batch(checkpoint: tuple[str, Path]) -> None:
    name, path = checkpoint
    options = {"checkpoint": path, "action_repeat": 2}
    batch = gymnasium.make_vec(f"MoSim/{name}-v0", num_envs=3, **options)
    singles = [gymnasium.make(f"MoSim/{name}-v0", first_index=i, **options) for i in range(3)]
    batch.reset(seed=1)
    for env in singles:
        env.reset(seed=1)
    batch.action_space.seed(0)
    for _ in range(8):
        action = batch.action_space.sample()
        stepped = batch.step(action)
        for row, env in enumerate(singles):
            own = env.step(action[row])
            np.testing.assert_allclose(stepped[0][row], own[0], rtol=BATCHED, atol=BATCHED)
            assert stepped[1][row] == pytest.approx(own[1], abs=1e-3)
            assert (stepped[2][row], stepped[3][row]) == own[2:4]


def test_a_checkpoint_of_another_system_is_refused(checkpoint: tuple[str, Path]) -> None:
    with pytest.raises(MismatchError, match=r"does not fit task pendulum-swingup: .*nu is \d instead of 1"):
        gymnasium.make("MoSim/pendulum-swingup-v0", checkpoint=checkpoint[1])


def test_mosim_loads_a_checkpoint(checkpoint: tuple[str, Path]) -> None:
    name, path = checkpoint
    simulator = mosim.load(path)
    facts = load_task(name).facts
    states = simulator.rollout(torch.zeros(2, facts.state_size), torch.zeros(2, 5, facts.nu))
    assert states.shape == (2, 5, facts.state_size)
