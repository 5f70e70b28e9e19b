"""The return of a policy, in the true task or in a simulator: whole episodes, as one batch."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mosim.envs import MoSimVectorEnv
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.tasks import Task

JUDGE_SEED = 2**31
"""Seed of the episodes that policies are judged in, by default; training seeds lie below it, so no start is shared."""

UNLIMITED_STEPS = 1000
"""Control steps of a judged episode of a task without a time limit."""

Acting = Callable[[np.ndarray], np.ndarray]
"""Observations `(batch, observation_size)` to actions `(batch, nu)`."""


class Judgement(NamedTuple):
    """Undiscounted returns of whole episodes.

    Attributes:
      returns: one an episode, `(episodes,)`.
      explosions: how many of the episodes ended since the dynamics predicted no motion.
    """

    returns: np.ndarray
    explosions: int = 0

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation over the episodes."""
        return float(self.returns.std())


def judge(
    act: Acting,
    task: Task,
    episodes: int = 20,
    seed: int = JUDGE_SEED,
    action_repeat: int = 1,
    dynamics: DynamicsModel | None = None,
) -> Judgement:
    """Runs whole episodes of a task, all in one batch, without exploration.

    Args:
      act: the policy, such as `Policy.act`.
      task: what is judged by; the true task unless `dynamics` is given.
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
        horizon=task.step_limit or UNLIMITED_STEPS,
    )
    observation, _ = envs.reset()
    returns, running = np.zeros(episodes), np.ones(episodes, bool)
    explosions = 0
    while running.any():
        observation, reward, terminated, truncated, info = envs.step(act(observation))
        returns[running] += reward[running]
        explosions += int((info.get("exploded", False) & running).sum())
        running &= ~(terminated | truncated)
    return Judgement(returns, explosions)


def random_return(task: Task, episodes: int = 20, seed: int = JUDGE_SEED, action_repeat: int = 1) -> Judgement:
    """The return of uniformly random actions in the true task, in the same episodes as `judge`."""
    random = np.random.default_rng([seed, 1])
    lower, upper = np.array(task.facts.control_lower), np.array(task.facts.control_upper)
    return judge(
        lambda observations: random.uniform(lower, upper, (len(observations), len(lower))),
        task,
        episodes,
        seed,
        action_repeat,
    )
