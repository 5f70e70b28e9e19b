"""The true task in Gymnasium's clothes against dm_control's own loop."""

import gymnasium
import numpy as np
import pytest
from dm_control import suite

import mosim  # noqa: F401 Registers the environments.
from mosim.registration import environment_id

SEED = 5
EPISODE = 1000

FLOAT32 = 1e-6
"""Observations are given as float32, so agreement is relative."""


def own_stream(name: str, actions: np.ndarray):
    """dm_control's own observations, rewards and ends, from the start that seed 5 draws for the first episode."""
    domain, task = name.split("-")
    environment = suite.load(domain, task, task_kwargs={"random": 0})
    environment.task.random.seed(np.random.SeedSequence([SEED, 0, 0]).generate_state(8))
    steps = [environment.reset()] + [environment.step(action) for action in actions]
    observations = [np.concatenate([np.ravel(part) for part in step.observation.values()]) for step in steps]
    return np.stack(observations), np.array([step.reward for step in steps[1:]]), [step.last() for step in steps]


def our_stream(name: str, actions: np.ndarray):
    env = gymnasium.make(environment_id(name, true=True)).unwrapped
    steps = [(*env.reset(seed=SEED)[:1], 0.0, False, False, {})] + [env.step(action) for action in actions]
    observations, rewards, terminated, truncated, _ = zip(*steps, strict=True)
    return np.stack(observations), np.array(rewards[1:]), terminated, truncated


def random_actions(name: str) -> np.ndarray:
    space = gymnasium.make(environment_id(name, true=True)).action_space
    space.seed(0)
    return np.stack([space.sample() for _ in range(EPISODE)])


# MuJoCo's contact solver starts warm in dm_control and cold in `MujocoDynamics`: hopper's contacts tell the two apart
# by its tolerance, which chaos then lets grow.
@pytest.mark.parametrize(
    ("name", "agreeing"),
    [
        ("reacher-easy", EPISODE),
        ("cartpole-swingup", EPISODE),
        ("cheetah-run", EPISODE),
        ("hopper-hop", 200),
        ("quadruped-walk", 100),  # Whose actuators have internal states.
    ],
)
def test_a_whole_episode_is_dm_controls_own(name: str, agreeing: int) -> None:
    actions = random_actions(name)
    own, own_rewards, own_last = own_stream(name, actions)
    ours, our_rewards, terminated, truncated = our_stream(name, actions)
    tolerance = 1e-5 if name == "cartpole-swingup" else FLOAT32  # An inverted pole lets the last bit grow.
    np.testing.assert_allclose(ours[: agreeing + 1], own[: agreeing + 1], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(our_rewards[:agreeing], own_rewards[:agreeing], rtol=0, atol=FLOAT32)
    assert list(truncated) == own_last == [False] * EPISODE + [True]
    assert not any(terminated)
