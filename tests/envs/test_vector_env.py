from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from mosim.envs import MoSimEnv, MoSimVectorEnv
from mosim.models import MarkovModel, MujocoDynamics
from mosim.tasks import Task, load_task


@pytest.fixture(scope="module")
def reacher() -> Task:
    return load_task("reacher-easy")


class Diverging(MarkovModel):
    """MuJoCo until the shoulder of a row has turned left for `fuse` steps; then what `end` says."""

    def __init__(self, task: Task, end: float) -> None:
        super().__init__(task.facts)
        self.true, self.end = MujocoDynamics(task), end

    def step(self, carry: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        following = self.true.step(carry, action)
        return torch.where(action[:, :1] < -0.5, torch.full_like(following, self.end), following)


def make(task: Task, num_envs: int, **options) -> MoSimVectorEnv:
    return MoSimVectorEnv(task, MujocoDynamics(task), num_envs, **options)


def drawn_actions(envs: MoSimVectorEnv, steps: int, seed: int = 0) -> np.ndarray:
    envs.action_space.seed(seed)
    return np.stack([envs.action_space.sample() for _ in range(steps)])


def test_spaces_are_the_tasks(reacher: Task) -> None:
    envs = make(reacher, 3)
    assert envs.single_action_space == gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    assert envs.single_observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float32)
    assert envs.action_space.shape == (3, 2)
    assert envs.observation_space.shape == (3, 6)
    observation, _ = envs.reset(seed=0)
    assert observation in envs.observation_space
    stepped = envs.step(envs.action_space.sample())
    assert stepped[0] in envs.observation_space
    assert [part.shape for part in stepped[1:4]] == [(3,)] * 3


@pytest.mark.parametrize("name", ["reacher-easy", "hopper-hop"])
def test_a_batch_of_one_is_a_row_of_a_batch(name: str) -> None:
    task = load_task(name)
    batch = make(task, 3, max_episode_steps=8, action_repeat=2)
    singles = [
        MoSimEnv(task, MujocoDynamics(task), max_episode_steps=8, action_repeat=2, first_index=i) for i in range(3)
    ]
    actions = drawn_actions(batch, 20)
    observation, _ = batch.reset(seed=7)
    alone = [env.reset(seed=7)[0] for env in singles]
    np.testing.assert_array_equal(observation, alone)
    for action in actions:
        ended = batch.ended.copy()
        observation, reward, terminated, truncated, _ = batch.step(action)
        for row, env in enumerate(singles):
            if ended[row]:
                np.testing.assert_array_equal(observation[row], env.reset()[0])
                assert (reward[row], terminated[row], truncated[row]) == (0.0, False, False)
            else:
                own = env.step(action[row])
                np.testing.assert_array_equal(observation[row], own[0])
                assert (reward[row], terminated[row], truncated[row]) == own[1:4]


def test_each_env_has_its_own_start_and_context_and_the_seed_determines_them(reacher: Task) -> None:
    envs = make(reacher, 4)
    first, _ = envs.reset(seed=3)
    contexts = envs.context.clone()
    assert len(np.unique(first, axis=0)) == 4
    assert len(torch.unique(contexts, dim=0)) == 4
    second, _ = envs.reset()
    assert not np.any(np.all(first == second, axis=1))
    again, _ = envs.reset(seed=3)
    np.testing.assert_array_equal(first, again)
    other, _ = envs.reset(seed=4)
    assert not np.any(np.all(first == other, axis=1))
    unseeded = [make(reacher, 1).reset()[0] for _ in range(2)]
    assert not np.array_equal(unseeded[0], unseeded[1])


def test_the_step_after_an_episode_is_a_reset(reacher: Task) -> None:
    assert MoSimVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    envs = make(reacher, 2, max_episode_steps=5)
    envs.reset(seed=1)
    actions = drawn_actions(envs, 12)
    seen = [envs.step(action) for action in actions]
    truncated = np.array([step[3] for step in seen])
    np.testing.assert_array_equal(np.flatnonzero(truncated[:, 0]), [4, 10])
    assert not np.any([step[2] for step in seen])
    start = reacher.reset([1, 0, 1])
    fresh = make(reacher, 1, starts=lambda seed: start)
    expected, _ = fresh.reset(seed=0)
    np.testing.assert_array_equal(seen[5][0][0], expected[0])
    assert seen[5][1][0] == 0.0
    np.testing.assert_array_equal(seen[6][0][0], fresh.step(actions[6][:1])[0][0])


def test_the_time_limit_is_the_tasks_and_cuts_a_held_action_short(reacher: Task) -> None:
    envs = make(reacher, 1, action_repeat=300)
    envs.reset(seed=0)
    cuts = [envs.step(action)[3][0] for action in drawn_actions(envs, 4)]
    assert cuts == [False, False, False, True]
    plain = make(reacher, 1)
    plain.reset(seed=0)
    for _ in range(1000):
        plain.step(np.zeros((1, 2), np.float32))
    envs.reset(seed=0)
    for _ in range(4):
        envs.step(np.zeros((1, 2), np.float32))
    torch.testing.assert_close(envs.state, plain.state, rtol=0, atol=0)


def test_a_limit_on_steps_counts_actions_as_gymnasium_does(reacher: Task) -> None:
    name = "MoSimTrue/reacher-easy-v0"
    options: dict[str, Any] = {"max_episode_steps": 3, "action_repeat": 4}
    batch = gymnasium.make_vec(name, num_envs=1, **options)
    single = gymnasium.make(name, **options)  # Gymnasium's own wrapper counts.
    batch.reset(seed=0)
    single.reset(seed=0)
    action = np.zeros(2, np.float32)
    cuts = [(bool(batch.step(action[None])[3][0]), single.step(action)[3]) for _ in range(3)]
    assert cuts == [(False, False), (False, False), (True, True)]


def test_a_held_action_sums_the_rewards_of_its_control_steps() -> None:
    task = load_task("cartpole-balance")
    held, single = make(task, 2, action_repeat=4), make(task, 2)
    held.reset(seed=0)
    single.reset(seed=0)
    for action in drawn_actions(held, 10):
        observation, reward, *_ = held.step(action)
        parts = [single.step(action) for _ in range(4)]
        np.testing.assert_array_equal(observation, parts[-1][0])
        np.testing.assert_allclose(reward, sum(part[1] for part in parts), rtol=1e-12)


def test_an_action_beyond_the_control_range_is_clipped_to_it(reacher: Task) -> None:
    envs = make(reacher, 1)
    envs.reset(seed=0)
    beyond = envs.step(np.array([[3.0, -7.0]]))[0]
    envs.reset(seed=0)
    np.testing.assert_array_equal(beyond, envs.step(np.array([[1.0, -1.0]]))[0])


@pytest.mark.parametrize("end", [np.nan, np.inf, 1e5])
def test_a_divergence_ends_that_env_alone_and_nothing_of_it_is_seen(reacher: Task, end: float) -> None:
    envs = MoSimVectorEnv(reacher, Diverging(reacher, end), 3, action_repeat=2)
    envs.reset(seed=0)
    still, fatal = np.full((3, 2), 0.3, np.float32), np.full((3, 2), 0.3, np.float32)
    fatal[1, 0] = -1.0
    before = envs.step(still)[0]
    observation, reward, terminated, truncated, info = envs.step(fatal)
    assert terminated.tolist() == info["diverged"].tolist() == [False, True, False]
    assert not truncated.any()
    assert reward[1] == 0.0
    np.testing.assert_array_equal(observation[1], before[1])
    assert not np.array_equal(observation[0], before[0])
    assert envs.divergences == 1
    following, reward, terminated, truncated, info = envs.step(fatal)
    assert not (terminated | truncated).any()
    assert info == {}
    assert np.isfinite(following).all()
    assert torch.isfinite(envs.state).all()
    assert not np.array_equal(following[1], before[1])
    assert envs.divergences == 1


def test_evaluator_starts_and_ending_may_be_others(reacher: Task) -> None:
    start = reacher.reset([9, 9])

    def ends_high(state: torch.Tensor, evaluation) -> torch.Tensor:
        return state[:, 0] > start.state[0] + 0.05

    def halved(state, action, context, previous):
        evaluation = own(state, action, context, previous)
        return evaluation._replace(reward=torch.full_like(evaluation.reward, 0.5))

    own = reacher.evaluator()
    envs = make(reacher, 2, starts=lambda seed: start, ending=ends_high, evaluator=halved)
    observation, _ = envs.reset(seed=0)
    np.testing.assert_array_equal(observation[0], observation[1])
    action = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    for _ in range(100):
        _, reward, terminated, truncated, _ = envs.step(action)
        np.testing.assert_array_equal(reward, 0.5)
        if terminated.any():
            break
    assert terminated.tolist() == [True, False]
    assert not truncated.any()


def test_a_snapshot_goes_on_as_if_nothing_had_been() -> None:
    task = load_task("finger-spin")
    envs = make(task, 3, max_episode_steps=7)
    envs.reset(seed=2)
    actions = drawn_actions(envs, 20)
    for action in actions[:10]:
        envs.step(action)
    snapshot = envs.snapshot()
    expected = [envs.step(action) for action in actions[10:]]
    restored = make(task, 3, max_episode_steps=7)
    restored.restore(snapshot)
    for action, own in zip(actions[10:], expected, strict=True):
        for ours, theirs in zip(restored.step(action)[:4], own[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
