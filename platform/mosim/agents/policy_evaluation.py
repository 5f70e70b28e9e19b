"""The return of a policy, in the true task or in a simulator: whole episodes, as one batch."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mosim.envs import MoSimVectorEnv
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.tasks import Task

EVAL_SEED = 2**31
"""Default seed of the evaluation's episodes. Training seeds are smaller, so no start is shared."""

_UNLIMITED_STEPS = 1000
"""Control steps of an evaluated episode of a task without a time limit."""

Acting = Callable[[np.ndarray], np.ndarray]
"""Observations `(batch, observation_size)` to actions `(batch, nu)`."""


def max_episode_steps(task: Task, action_repeat: int) -> int | None:
    """Actions after which an evaluated episode ends; None where the task has a time limit of its own."""
    return None if task.episode_steps else math.ceil(_UNLIMITED_STEPS / action_repeat)


def episode_actions(task: Task, action_repeat: int) -> int:
    """Actions of an evaluated episode that reaches its end."""
    return math.ceil((task.episode_steps or _UNLIMITED_STEPS) / action_repeat)


class PolicyEvaluation(NamedTuple):
    """Undiscounted returns of whole episodes.

    Attributes:
      returns: one an episode, `(episodes,)`.
      divergences: how many of the episodes ended because the prediction diverged.
    """

    returns: np.ndarray
    divergences: int = 0

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation over the episodes."""
        return float(self.returns.std())


def evaluate_policy(
    act: Acting,
    task: Task,
    episodes: int = 20,
    seed: int = EVAL_SEED,
    action_repeat: int = 1,
    dynamics: DynamicsModel | None = None,
) -> PolicyEvaluation:
    """Runs whole episodes of a task, all in one batch, without exploration.

    Args:
      act: the policy, such as `Policy.act`.
      task: whose rewards count; the true task unless `dynamics` is given.
      episodes: how many, at least 1; the same seed has the same starts.
      seed: of the starts.
      action_repeat: control steps that each action is held, as the policy was trained.
      dynamics: in place of MuJoCo.
    """
    envs = MoSimVectorEnv(
        task,
        dynamics or MujocoDynamics(task),
        episodes,
        seed,
        action_repeat=action_repeat,
        max_episode_steps=max_episode_steps(task, action_repeat),
    )
    return whole_episodes(envs, act)


def whole_episodes(envs: MoSimVectorEnv, act: Acting) -> PolicyEvaluation:
    """Runs an episode in each of a batch of environments, to its end, and adds up the rewards."""
    observation, _ = envs.reset()
    returns, running = np.zeros(envs.num_envs), np.ones(envs.num_envs, bool)
    divergences = 0
    while running.any():
        observation, reward, terminated, truncated, info = envs.step(act(observation))
        returns[running] += reward[running]
        divergences += int((info.get("diverged", False) & running).sum())
        running &= ~(terminated | truncated)
    return PolicyEvaluation(returns, divergences)


def random_return(task: Task, episodes: int = 20, seed: int = EVAL_SEED, action_repeat: int = 1) -> PolicyEvaluation:
    """The return of uniformly random actions in the true task, in the same episodes as `evaluate_policy`."""
    random = np.random.default_rng([seed, 1])
    lower, upper = np.array(task.facts.control_lower), np.array(task.facts.control_upper)
    return evaluate_policy(
        lambda observations: random.uniform(lower, upper, (len(observations), len(lower))),
        task,
        episodes,
        seed,
        action_repeat,
    )
