"""dm_control suite tasks, taken apart: starts, observations and rewards for states set from outside."""

import copy
from collections.abc import Sequence

import mujoco
import numpy as np

from mosim.core.errors import UnknownNameError, UnsupportedSystemError
from mosim.robots import EpisodeStart, System, physics_digests
from mosim.tasks.context import ContextLayout
from mosim.tasks.dm_control_suite import control, suite

_CONSTRUCTION_SEED = 0
"""Seed of tasks whose very model is drawn at random (lqr), so that one name is one system."""

_PROBED_RESETS = 6
"""Resets looked at to find what a task changes from episode to episode."""

_PROBED_STEPS = 200
"""Physics steps compared to find whether an episode's context enters the physics."""


class Task(System):
    """A dm_control suite task.

    Attributes:
      name: such as `reacher-easy`.
      environment: dm_control's own environment. Its physics are scratch space for `reset` and the exact evaluation.
      control_timestep: seconds of a control step.
      step_limit: control steps of an episode, or None for a task without a time limit.
      observation_size: width of the flattened observation.
    """

    def __init__(self, name: str, environment: control.Environment) -> None:
        self.name = name
        self.environment = environment
        self.data: mujoco.MjData = environment.physics.data.ptr
        environment.reset()  # Some tasks set constants of the model at every reset; facts are read after one.
        model = environment.physics.model.ptr
        resets = [lambda seed=seed: self._reset([seed]) for seed in range(_PROBED_RESETS)]
        self.context_layout = ContextLayout(model, self.data, resets)
        super().__init__(name, name.split("-")[0], model, self.context_layout.in_model)
        self.context_size = self.context_layout.size
        self.context_in_dynamics = self.context_size > 0 and self._context_enters_physics()
        self.control_timestep = environment.control_timestep()
        limit = environment._step_limit  # dm_control gives the time limit no public name.
        self.step_limit = None if np.isinf(limit) else round(limit)
        self.observation_size = flatten_observation(environment.task.get_observation(environment.physics)).size

    @property
    def n_substeps(self) -> int:
        """Physics steps in a control step."""
        return round(self.control_timestep / self.facts.timestep)

    def reset(self, seed: Sequence[int]) -> EpisodeStart:
        """Draws the start of an episode as dm_control does.

        Args:
          seed: integers from 0 to 2**32 - 1 that determine the start; any length.
        """
        self._reset(seed)
        return EpisodeStart(self.facts.layout.read(self.data), self.context_layout.read(self.model, self.data))

    def set_context(self, context: np.ndarray) -> None:
        """Puts an episode's context, of shape `(context_size,)`, into the task's own model and data."""
        self.context_layout.write(context, self.model, self.data)

    def model_for(self, context: np.ndarray) -> mujoco.MjModel:
        """A model to run an episode of this context in; shared unless the physics depend on the context."""
        if not self.context_in_dynamics:
            return self.model
        model = copy.copy(self.model)
        self.context_layout.write(context, model, self.data)
        return model

    def write_context(self, context: np.ndarray, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """See `System`."""
        if context.size:
            self.context_layout.write(context, model, data)

    def reload(self) -> "Task":
        """See `System`."""
        return load_task(self.name)

    def _reset(self, seed: Sequence[int]) -> None:
        self.environment.task.random.seed(np.random.SeedSequence(list(seed)).generate_state(8))
        self.environment.reset()

    def _context_enters_physics(self) -> bool:
        """Looks at the model itself, since what a context moves may be out of reach for long, and at some motion."""
        digests = []
        for seed in range(_PROBED_RESETS):
            self.set_context(self.reset([seed]).context)
            digests.append(physics_digests(self.model))
        if any(each != digests[0] for each in digests):
            return True
        start = self.reset([0])
        random = np.random.default_rng(0)
        controls = random.uniform(self.facts.control_lower, self.facts.control_upper, (_PROBED_STEPS, self.facts.nu))
        ends = []
        for seed in range(_PROBED_RESETS):
            self.set_context(self.reset([seed]).context)
            mujoco.mj_resetData(self.model, self.data)
            self.facts.layout.write(start.state, self.data)
            for row in controls:
                self.data.ctrl[:] = row
                mujoco.mj_step(self.model, self.data)
            ends.append(self.facts.layout.read(self.data))
        return not all(np.array_equal(end, ends[0]) for end in ends)


def flatten_observation(observation: dict[str, np.ndarray]) -> np.ndarray:
    """A dm_control observation as one vector, its parts in their own order."""
    return np.concatenate([np.ravel(part) for part in observation.values()]).astype(np.float64)


def task_names() -> tuple[str, ...]:
    """Every task of the dm_control suite as `domain-task`, also those whose systems are not supported."""
    return tuple(f"{domain}-{task}" for domain, task in suite.ALL_TASKS)


def load_task(name: str) -> Task:
    """Loads a dm_control suite task by its `domain-task` name.

    Raises:
      UnknownNameError: there is no such task; lists near names.
      UnsupportedSystemError: its state is more than `[qpos, qvel, act]`, or MuJoCo cannot load it without a screen.
    """
    if name not in task_names():
        raise UnknownNameError.among("task", name, task_names())
    domain, task = name.split("-", maxsplit=1)
    try:
        return Task(name, suite.load(domain, task, task_kwargs={"random": _CONSTRUCTION_SEED}))
    except mujoco.FatalError as error:
        raise UnsupportedSystemError(f"task {name!r} cannot be loaded here: {error}.") from None
