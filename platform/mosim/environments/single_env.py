"""One environment of a task: a batch of one."""

from typing import Any, ClassVar

import gymnasium
import numpy as np

from mosim.dynamics import DynamicsModel
from mosim.environments.vector_env import MoSimVectorEnv
from mosim.systems import Task


class MoSimEnv(gymnasium.Env):
    """A task over a dynamics model, one env; see `MoSimVectorEnv`.

    Attributes:
      batch: the batch of one that does the work.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, task: Task, dynamics: DynamicsModel, seed: int | None = None, **options: Any) -> None:
        """Takes what `MoSimVectorEnv` takes, but for `num_envs`."""
        self.batch = MoSimVectorEnv(task, dynamics, 1, seed, **options)
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts the next episode, or with a seed the first of that seed."""
        super().reset(seed=seed)
        observation, info = self.batch.reset(seed=seed, options=options)
        return observation[0], info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advances by `action_repeat` control steps under an action of shape `(nu,)`, or to the end of the episode."""
        observation, reward, terminated, truncated, info = self.batch.step(np.asarray(action)[None])
        told = {"exploded": True, "explosion": info["explosion"][0]} if info else {}
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), told
