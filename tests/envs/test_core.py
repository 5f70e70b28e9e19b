"""The environment in tensors: gradients through it, models with memory, and Gymnasium's env over it."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from mosim.data import PoissonBehaviour, collect_episode
from mosim.envs import EnvironmentCore, EnvState, Episodes, MoSimVectorEnv
from mosim.models import (
    Carry,
    DynamicsModel,
    MujocoDynamics,
    NeuralSimulator,
    NeuralSimulatorConfig,
    Persistence,
    Statistics,
)
from mosim.tasks import Task, load_task
from physics_steps import with_true_masses

STEPS = 32


@pytest.fixture(scope="module")
def cheetah() -> Task:
    return load_task("cheetah-run")


@pytest.fixture(scope="module")
def core(cheetah: Task) -> EnvironmentCore:
    """Over a tree of MuJoCo's own masses and contacts that have learned nothing, in double precision."""
    episode = collect_episode(cheetah, PoissonBehaviour(), 300, 0, 0)
    statistics = Statistics.of(cheetah.facts, episode.states[:-1], episode.states[1:])
    return EnvironmentCore(cheetah, with_true_masses(cheetah, statistics).double().requires_grad_(False))


def begun(core: EnvironmentCore, states: np.ndarray) -> EnvState:
    count = len(states)
    contexts = torch.zeros(count, core.task.context_size)
    now, _ = core.begin(core.idle(count), torch.arange(count), torch.from_numpy(states), contexts)
    return now


def total_reward(core: EnvironmentCore, start: np.ndarray, actions: Tensor) -> Tensor:
    now, total = begun(core, start[None]), actions.new_zeros(())
    for action in actions:
        now, step = core.step(now, action[None])
        assert step.valid.all()
        total = total + step.evaluation.reward.sum()
    return total


def on_the_floor(core: EnvironmentCore) -> np.ndarray:
    """The state of an episode, with a foot on the floor, in which the cheetah runs fastest: running alone is paid."""
    states = collect_episode(core.task, PoissonBehaviour(), 600, 0, 1).states
    layout = core.task.facts.layout
    assert isinstance(core.dynamics, NeuralSimulator)
    constraints = core.dynamics.predictor.constraints
    assert constraints is not None
    assert constraints.contacts is not None
    touching, _ = constraints.contacts.acting(torch.from_numpy(states[:, layout.qpos]))
    rows = touching.unique().numpy()
    return states[rows[np.argmax(states[rows, layout.qvel.start])]]


def test_a_gradient_flows_from_rewards_through_contacts_to_the_actions(core: EnvironmentCore) -> None:
    random, start = torch.Generator().manual_seed(0), on_the_floor(core)
    actions = (torch.rand(STEPS, 6, generator=random, dtype=torch.float64) - 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(total_reward(core, start, actions), actions)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 1e-3
    for _ in range(3):
        direction = torch.randn(STEPS, 6, generator=random, dtype=torch.float64)
        step = 1e-6 * direction / direction.norm()
        with torch.no_grad():
            more, less = (total_reward(core, start, actions + sign * step) for sign in (1, -1))
        expected = float((more - less) / 2)
        assert float((gradient * step).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_gymnasium_s_env_takes_the_core_s_steps(core: EnvironmentCore, cheetah: Task) -> None:
    envs = MoSimVectorEnv(cheetah, core.dynamics, 3, seed=0)
    envs.reset()
    now = begun(core, envs.state.numpy())
    random = np.random.default_rng(0)
    for _ in range(10):
        actions = random.uniform(-1, 1, (3, 6)).astype(np.float32)
        observation, reward, *_ = envs.step(actions)
        now, step = core.step(now, torch.from_numpy(actions).double())
        torch.testing.assert_close(core.states_of(now), envs.state, rtol=0, atol=0)
        np.testing.assert_array_equal(observation, step.evaluation.observation.float().numpy())
        np.testing.assert_array_equal(reward, step.evaluation.reward.numpy())


def test_those_that_do_not_move_stay_as_they_are(core: EnvironmentCore, cheetah: Task) -> None:
    now = begun(core, np.stack([cheetah.reset([index]).state for index in range(3)]))
    following, _ = core.step(now, torch.zeros(3, 6, dtype=torch.float64), torch.tensor([True, False, True]))
    moved = (core.states_of(following) != core.states_of(now)).any(-1)
    assert moved.tolist() == [True, False, True]


class Remembers(DynamicsModel):
    """Carries the state and a count of steps, by which every state moves: a model whose state is not all it needs."""

    history = 2

    def __init__(self, task: Task) -> None:
        super().__init__(task.facts)

    def init(self, states: Tensor, actions: Tensor) -> Carry:
        return {"state": states[..., -1, :], "memory": (states.new_zeros(states.shape[:-2]),)}

    def step(self, carry: Carry, action: Tensor) -> Carry:
        assert isinstance(carry, dict)
        (count,) = carry["memory"]
        count = count + 1
        return {"state": carry["state"] + 1e-3 * count.unsqueeze(-1), "memory": (count,)}

    def state(self, carry: Carry) -> Tensor:
        assert isinstance(carry, dict)
        state = carry["state"]
        assert isinstance(state, Tensor)
        return state


def test_a_model_with_memory_is_used_reset_and_restored() -> None:
    task = load_task("reacher-easy")
    envs, other = (MoSimVectorEnv(task, Remembers(task), 2, seed=0, max_episode_steps=20) for _ in range(2))
    envs.reset(seed=0)
    starts, still = envs.state.numpy().copy(), np.zeros((2, 2), np.float32)
    for _ in range(3):
        envs.step(still)
    np.testing.assert_allclose(envs.state.numpy() - starts, 1e-3 * (1 + 2 + 3))
    envs.reset(options={"reset_mask": np.array([False, True])})
    again = envs.state.numpy()[1].copy()
    snapshot = envs.snapshot()
    envs.step(still)
    np.testing.assert_allclose(envs.state.numpy()[0] - starts[0], 1e-3 * (1 + 2 + 3 + 4))
    np.testing.assert_allclose(envs.state.numpy()[1] - again, 1e-3, atol=1e-12)
    other.reset(seed=5)
    other.restore(snapshot)
    other.step(still)
    np.testing.assert_array_equal(other.state.numpy(), envs.state.numpy())


@contextmanager
def nothing_leaves_the_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("copied to the host")

    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "numpy", refuse)
        patch.setattr(Tensor, "cpu", refuse)
        yield


def test_a_step_copies_nothing_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task("cheetah-run")
    statistics = Statistics.neutral(task.facts)
    core = EnvironmentCore(task, NeuralSimulator(task.facts, NeuralSimulatorConfig(), statistics).requires_grad_(False))
    now = begun(core, np.stack([task.reset([index]).state for index in range(3)]))
    with nothing_leaves_the_device(monkeypatch):
        core.step(now, torch.zeros(3, 6))


def test_what_is_idle_has_no_motion() -> None:
    task = load_task("reacher-easy")
    for dynamics in (Persistence(task.facts), MujocoDynamics(task), Remembers(task)):
        core = EnvironmentCore(task, dynamics)
        assert core.states_of(core.idle(4)).shape == (4, task.facts.state_size)


def test_episodes_that_are_spread_end_one_after_the_other(core: EnvironmentCore) -> None:
    episodes = Episodes(core, [0] * 4, max_steps=40)
    episodes.begin(np.arange(4))
    episodes.spread(np.random.default_rng(0))
    ends = {}
    for step in range(40):
        episodes.act(torch.zeros(4, 6, dtype=torch.float64))
        ends |= {row: step for row in np.flatnonzero(episodes.ended).tolist() if row not in ends}
    assert ends.keys() == set(range(4))
    assert len(set(ends.values())) == 4
