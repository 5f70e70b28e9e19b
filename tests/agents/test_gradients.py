"""Policy gradients through a simulator: their value, their bounds, and what a training by them leaves behind."""

from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from mosim.agents import (
    PolicyProgress,
    SHACRecipe,
    TrainingSetup,
    evaluate_policy,
    load_policy,
    random_return,
    read_returns,
    save_policy,
    train_policy,
)
from mosim.agents.gradients.guard import GradientGuard
from mosim.agents.gradients.learner import SHACLearner
from mosim.agents.gradients.targets import td_lambda
from mosim.core.errors import MosimError
from mosim.core.random_numbers import seed_everything
from mosim.data import PoissonBehaviour, collect_episode
from mosim.models import NeuralSimulator, Statistics
from mosim.tasks import Task, load_task
from mosim.training.checkpoint import save_checkpoint
from own_tasks import Home, write_slider
from physics_steps import with_true_masses

UNBOUNDED: dict[str, Any] = {"spread_clip": 1e300, "spread_cut": 1e300}

TINY = SHACRecipe(
    control_steps=1000,
    num_envs=8,
    rollout_fragment_length=8,
    hidden=(16, 16),
    max_episode_steps=20,
    minibatch_size=32,
    critic_epochs=2,
    gamma=0.9,
    eval_interval=400,
    eval_episodes=2,
    checkpoint_interval=200,
)
"""Eight updates of 128 control steps."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Task:
    Home.robot = str(write_slider(tmp_path_factory.mktemp("robot")))
    return load_task("own_tasks:Home", allow_imports=True)


@pytest.fixture(scope="module")
def cheetah() -> Task:
    return load_task("cheetah-run")


def exact(task: Task) -> NeuralSimulator:
    """A tree of MuJoCo's own masses, in double precision."""
    episode = collect_episode(task, PoissonBehaviour(), 100, 0, 0)
    statistics = Statistics.of(task.facts, episode.states[:-1], episode.states[1:])
    return with_true_masses(task, statistics).double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def checkpoint(home: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(
        tmp_path_factory.mktemp("simulator"),
        "step-1",
        exact(home),
        {},
        system=home.facts.name,
        recipe={},
        dataset_id="none",
        cursor={"finished": True},
    )


def test_the_gradient_of_a_window_is_that_of_finite_differences_through_contacts(cheetah: Task) -> None:
    recipe = SHACRecipe(num_envs=6, rollout_fragment_length=12, hidden=(8,), seed=3, **UNBOUNDED)
    learner = SHACLearner(recipe, TrainingSetup(cheetah, exact(cheetah), ""))
    learner._networks.double()
    for _ in range(8):  # Windows after which all stand on the floor.
        learner.update(0.0)
    episodes, parameters = learner._episodes.snapshot(), learner._networks.actor_parameters()

    def objective() -> Tensor:
        seed_everything(1)
        learner._episodes.restore(episodes)
        return learner._rollout().objective

    gradient = torch.autograd.grad(objective(), parameters)
    random = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = [torch.randn(part.shape, generator=random, dtype=torch.float64) for part in parameters]
        values = []
        with torch.no_grad():
            for size in (1e-6, -2e-6):
                for parameter, step in zip(parameters, direction, strict=True):
                    parameter += size * step
                values.append(float(objective()))
            for parameter, step in zip(parameters, direction, strict=True):
                parameter += 1e-6 * step
        slope = sum(float((part * step).sum()) for part, step in zip(gradient, direction, strict=True))
        assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3)


@hypothesis.given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0.1, 1))
def test_td_lambda_mixes_returns_of_all_lengths(seed: int, decay: float, gamma: float) -> None:
    random = np.random.default_rng(seed)
    steps = 6
    reward, value = (torch.from_numpy(random.normal(size=(steps, 1))) for _ in range(2))
    ended = torch.from_numpy(random.random((steps, 1)) < 0.2)
    terminated = ended & torch.from_numpy(random.random((steps, 1)) < 0.5)
    found = td_lambda(reward, value, ended, terminated, gamma, decay)
    for start in range(steps):
        stop = next((step for step in range(start, steps) if ended[step] or step == steps - 1), steps - 1)
        returns, total = [], 0.0
        for step in range(start, stop + 1):
            total += gamma ** (step - start) * float(reward[step])
            returns.append(total + gamma ** (step - start + 1) * float(value[step]) * (not terminated[step]))
        weights = [(1 - decay) * decay**index for index in range(len(returns) - 1)] + [decay ** (len(returns) - 1)]
        assert float(found[start]) == pytest.approx(np.dot(weights, returns), abs=1e-9)


def test_a_guard_bounds_gradients_by_their_median_at_the_end_of_a_window() -> None:
    guard = GradientGuard(clip=0.5, cut=100.0)
    # Norms 5, 5, 0, 50, 50,000 and none, of which those that are finite and not zero have the median 5.
    rows = [[3.0, 4.0], [0.0, 5.0], [0.0, 0.0], [30.0, 40.0], [3e4, 4e4], [float("nan"), 0.0]]
    value = torch.ones(6, 2, requires_grad=True)
    guard(value).backward(torch.tensor(rows))
    assert value.grad is not None
    assert value.grad.tolist() == [[1.5, 2.0], [0.0, 2.5], [0.0, 0.0], [1.5, 2.0], [0.0, 0.0], [0.0, 0.0]]
    # An action earlier all have grown, which the measure does not follow.
    assert guard.bounded(torch.tensor([[300.0, 400.0], [0.0, 1.0]])).tolist() == [[1.5, 2.0], [0.0, 1.0]]


def test_gradients_of_a_chaotic_motion_stay_bounded() -> None:
    value = torch.full((3, 1), 0.1, dtype=torch.float64, requires_grad=True)
    guard, moved = GradientGuard(clip=2.0, cut=1e300), value
    for _ in range(200):
        moved = guard(1.0 - 2.0 * moved.square())  # Its derivatives' product is some 2**200.
    moved.sum().backward()
    assert value.grad is not None
    assert 0 < value.grad.abs().max() <= 2.0 * 0.4


def test_the_policy_has_the_value_function_in_rewards_of_the_task(home: Task, tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"num_critics": 2, "gamma": 0.9})
    learner = SHACLearner(recipe, TrainingSetup(home, exact(home), ""))
    learner.update(0.0)
    save_policy(learner.policy(), tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    assert policy.facts.value is not None
    assert (policy.facts.value.networks, policy.facts.value.gamma) == (2, 0.9)
    observation = torch.randn(7, home.observation_size, dtype=torch.float64)
    scaled = learner._networks.value(observation)
    assert scaled.abs().min() > 0
    torch.testing.assert_close(policy.value(observation), scaled.detach() * recipe.action_repeat / (1 - 0.9))


def test_an_update_changes_the_policy_by_no_more_than_its_limit(home: Task) -> None:
    recipe = TINY.model_copy(update={"kl_limit": 1e-4, "learning_rate": 0.1})
    learner = SHACLearner(recipe, TrainingSetup(home, exact(home), ""))
    learner.update(0.0)
    policy, std = learner.policy(), learner._networks.log_std.exp().detach()
    window = learner._rollout()
    learner._learn_policy(window)
    changes = (learner.policy().center(window.observation) - policy.center(window.observation)) / std
    divergence = float(changes.square().sum(dim=-1).mean()) / 2
    assert 0.3e-4 < divergence <= 1.001e-4


def test_a_training_that_is_resumed_is_the_one_that_never_stopped(checkpoint: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(progress: PolicyProgress) -> None:
        if progress.steps >= 500:
            raise StoppedError

    expected = train_policy(TINY, "own_tasks:Home", checkpoint, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_policy(TINY, "own_tasks:Home", checkpoint, tmp_path / "broken", on_progress=stop)
    resumed = train_policy(TINY, "own_tasks:Home", checkpoint, tmp_path / "broken", resume=True)
    weights, others = (load_file(result.policy / "policy.safetensors") for result in (resumed, expected))
    assert all(torch.equal(weights[name], others[name]) for name in others)
    rows, other_rows = (
        [row._replace(wall_seconds=0.0) for row in read_returns(result.returns)] for result in (resumed, expected)
    )
    assert rows == other_rows
    assert expected.steps >= TINY.control_steps


def test_it_brings_a_cart_home(home: Task, checkpoint: Path, tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"num_envs": 32, "control_steps": 8000, "max_episode_steps": None})
    result = train_policy(recipe, "own_tasks:Home", checkpoint, tmp_path)
    policy = load_policy(result.policy)
    found = evaluate_policy(policy.act, home, episodes=5, action_repeat=2)
    random = random_return(home, episodes=5, action_repeat=2)
    most = home.episode_steps or 0
    assert most - found.mean < 0.5 * (most - random.mean)
    assert result.return_simulated == pytest.approx(result.return_true_mean, rel=0.01), "the simulator is exact"


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("hopper-hop", "algorithm shac needs a reward with a gradient, which hopper-hop does not have; use ppo or sac"),
        ("reacher-easy", "the gradient of reacher-easy's reward is zero for random actions"),
    ],
)
def test_a_reward_without_a_gradient_is_said_before_anything_starts(task: str, sentence: str) -> None:
    loaded = load_task(task)
    with pytest.raises(MosimError, match=sentence):
        TINY.check_setup(loaded, exact(loaded))


def test_the_true_task_has_no_gradient(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="needs gradients through the dynamics, and MuJoCo has none"):
        train_policy(TINY, "cartpole-swingup", "true", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"spread_clip is 7\.0; it must be at most spread_cut, 3\.0"):
        SHACRecipe(spread_clip=7, spread_cut=3)
    with pytest.raises(ValueError, match="each must be at least 0 and below 1"):
        SHACRecipe(betas=(0.9, 1.0))
