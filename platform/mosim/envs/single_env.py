"""One environment of a task: a batch of one."""

from typing import Any, Unpack

import gymnasium
import numpy as np

from mosim.core.arguments import Seed, checked
from mosim.envs.inputs import require_shape
from mosim.envs.pictures import RENDER_MODE
from mosim.envs.vector_env import EnvOptions, MoSimVectorEnv
from mosim.models import DynamicsModel
from mosim.tasks import Task


class MoSimEnv(gymnasium.Env):
    """A task over a dynamics model, one env; see `MoSimVectorEnv`.

    Attributes:
      batch: the batch of one that does the work.
    """

    metadata: dict[str, Any] = {"render_modes": [RENDER_MODE]}  # noqa: RUF012 Gymnasium's own; see the batch's.

    @checked
    def __init__(
        self, task: Task, dynamics: DynamicsModel, seed: Seed | None = None, **options: Unpack[EnvOptions]
    ) -> None:
        """Takes what `MoSimVectorEnv` takes, but for `num_envs`."""
        self.batch = MoSimVectorEnv(task, dynamics, 1, seed, **options)
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self.render_mode = self.batch.render_mode
        self.metadata = self.metadata | {"render_fps": self.batch.metadata["render_fps"]}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts the next episode, or with a seed the first of that seed."""
        observation, info = self.batch.reset(seed=seed, options=options)
        super().reset(seed=seed)
        return observation[0], info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advances by `action_repeat` control steps under an action of shape `(nu,)`, or to the end of the episode."""
        action = require_shape(action, (self.batch.task.facts.nu,), "(nu,)")
        observation, reward, terminated, truncated, info = self.batch.step(action[None])
        told = {"diverged": True, "divergence": info["divergence"][0]} if info else {}
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), told

    def render(self) -> np.ndarray | None:
        """A picture of the state, `(height, width, 3)` uint8; None without a render mode."""
        pictures = self.batch.render()
        return pictures[0] if pictures else None

    def close(self) -> None:
        """Lets go of OpenGL, where there are pictures."""
        self.batch.close()
