"""A task of your own: observation, reward and end as torch functions of batches of states."""

import abc
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import mujoco
import numpy as np
import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.robots import EpisodeStart, System, is_file
from mosim.tasks.evaluation import Evaluation, Evaluator
from mosim.tasks.registry import load_system
from mosim.tasks.task import Task


class TensorTask(Task):
    """A task on a system that mosim knows, or on an MJCF file.

    A subclass sets `robot`, `control_timestep` and `episode_steps`, and defines `observe` and `reward`. Commands take
    it as `module:Class`; it is made without arguments.

        class Backwards(TensorTask):
            robot = "cheetah-run"
            control_timestep = 0.01
            episode_steps = 1000

            def observe(self, state, action, context):
                return state[:, 1:]

            def reward(self, state, action, context):
                return (-state[:, 9]).clamp(0, 10) / 10

    Every function takes float64 tensors: `state`, `(batch, state_size)`: `[qpos, qvel, act]`; `action`, `(batch, nu)`,
    the action that led there, in actuator units, zero at the start of an episode; and `context`, `(batch,
    context_size)`, of the robot's own task. They are called with batches of any size, on any device.

    Attributes:
      robot: a task, whose system and starts these are; or the path of an MJCF file, whose starts are those of
        `System.reset`. A relative path begins at the folder of the class's module.
    """

    robot: ClassVar[str]

    def __init__(self) -> None:
        self._robot = self._loaded_robot()
        self.source = f"{type(self).__module__}:{type(self).__qualname__}"
        self.name = type(self).__name__
        self.model, self.facts = self._robot.model, self._robot.facts
        self.context_size, self.context_names = self._robot.context_size, self._robot.context_names
        self.context_in_dynamics = self._robot.context_in_dynamics
        steps = self.control_timestep / self.facts.timestep
        if round(steps) < 1 or abs(steps - round(steps)) > _ROUNDING:
            raise MosimError(
                f"{self.source}: control_timestep is {self.control_timestep:g} s; it must be a multiple of the physics "
                f"step, {self.facts.timestep:g} s."
            )
        self.observation_size = self._checked_observation_size()

    @abc.abstractmethod
    def observe(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        """The observation, `(batch, observation_size)`."""

    @abc.abstractmethod
    def reward(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        """The reward of a control step, `(batch,)`."""

    def terminated(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        """Whether the task ends the episode here, `(batch,)` bool; never by default."""
        del action, context
        return torch.zeros(len(state), dtype=torch.bool, device=state.device)

    def reset(self, seed: Sequence[int]) -> EpisodeStart:
        """Draws the start of an episode; the robot's own by default."""
        return self._robot.reset(seed)

    @property
    def differentiable(self) -> bool:
        """See `Task`."""
        return True

    def evaluator(self) -> Evaluator:
        """See `Task`."""
        return self._evaluate

    def model_for(self, context: np.ndarray) -> mujoco.MjModel:
        """See `System`."""
        return self._robot.model_for(context)

    def write_context(self, context: np.ndarray, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """See `System`."""
        self._robot.write_context(context, model, data)

    def reload(self) -> "TensorTask":
        """See `System`."""
        return type(self)()

    def _evaluate(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        del previous
        state, context = state.double(), context.double()
        action = state.new_zeros(len(state), self.facts.nu) if action is None else action.double()
        return Evaluation(
            self.observe(state, action, context),
            self.reward(state, action, context),
            self.terminated(state, action, context),
        )

    def _loaded_robot(self) -> System:
        if not is_file(self.robot):
            return load_system(self.robot)
        return load_system(str(Path(inspect.getfile(type(self))).parent / self.robot))

    def _checked_observation_size(self) -> int:
        """The width of observations, after a look at what the functions return for two starts."""
        starts = [self.reset([index]) for index in range(2)]
        state, context = (torch.from_numpy(np.stack(part)) for part in zip(*starts, strict=True))
        action = state.new_zeros(len(state), self.facts.nu)
        returned = {
            "observe": self.observe(state, action, context),
            "reward": self.reward(state, action, context),
            "terminated": self.terminated(state, action, context),
        }
        for function, value in returned.items():
            shape = "(batch, observation_size)" if function == "observe" else "(batch,)"
            found = str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
            if not isinstance(value, Tensor) or value.ndim != 1 + (function == "observe") or len(value) != len(starts):
                raise MosimError(
                    f"{self.source}: {function} returned {found} for a batch of {len(starts)}; it must be a tensor of "
                    f"shape {shape}."
                )
        if (kind := returned["terminated"].dtype) != torch.bool:
            raise MosimError(f"{self.source}: terminated returned {kind}; it must be torch.bool.")
        return returned["observe"].shape[1]


_ROUNDING = 1e-6
"""Share of a physics step that a control step may be off a multiple, for rounding."""
