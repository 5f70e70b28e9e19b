"""dm_control suite tasks, taken apart: starts, observations and rewards for states set from outside."""

import copy
from collections.abc import Callable, Sequence

import mujoco
import numpy as np
import torch
from torch import Tensor

from mosim.core.errors import MosimError, UnsupportedSystemError
from mosim.robots import EpisodeStart, physics_digests
from mosim.tasks.context import ContextLayout
from mosim.tasks.dm_control_suite import control, suite
from mosim.tasks.evaluation import Evaluation, Evaluator, refuse_gradient
from mosim.tasks.task import Task

_CONSTRUCTION_SEED = 0
"""Seed of tasks whose very model is drawn at random (lqr), so that one name is one system."""

_PROBED_RESETS = 6
"""Resets looked at to find what a task changes from episode to episode."""

_PROBED_STEPS = 200
"""Physics steps compared to find whether an episode's context enters the physics."""

_STAGE_ACCELERATION = int(mujoco.mjtStage.mjSTAGE_ACC)


class SuiteTask(Task):
    """A dm_control suite task.

    Attributes:
      environment: dm_control's own environment. Its physics are scratch space for `reset` and the exact evaluation.
      context_layout: where the numbers of an episode's context stand in model and data.
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
        self.context_size, self.context_names = self.context_layout.size, self.context_layout.names
        self.context_in_dynamics = self.context_size > 0 and self._context_enters_physics()
        self.control_timestep = environment.control_timestep()
        limit = environment._step_limit  # dm_control gives the time limit no public name.
        self.episode_steps = None if np.isinf(limit) else round(limit)
        self.observation_size = flatten_observation(environment.task.get_observation(environment.physics)).size

    @property
    def differentiable(self) -> bool:
        """See `Task`: where there is a batched evaluator that is."""
        return self.name in _DIFFERENTIABLE

    def evaluator(self) -> Evaluator:
        """See `Task`: the batched evaluator where there is one, else the exact one."""
        factory = _BATCHED.get(self.name)
        return factory(self) if factory else self.exact_evaluator()

    def exact_evaluator(self) -> Evaluator:
        """Asks dm_control's own task, one state after the other; every task of the suite has it."""
        return _ExactEvaluator(self)

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

    def reload(self) -> "SuiteTask":
        """See `System`."""
        return load_suite_task(self.name)

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


def suite_task_names() -> tuple[str, ...]:
    """Every task of the dm_control suite as `domain-task`, also those whose systems are not supported."""
    return tuple(f"{domain}-{task}" for domain, task in suite.ALL_TASKS)


def load_suite_task(name: str) -> SuiteTask:
    """Loads a task of `suite_task_names`.

    Raises:
      UnsupportedSystemError: its state is more than `[qpos, qvel, act]`, or MuJoCo cannot load it without a screen.
    """
    domain, task = name.split("-", maxsplit=1)
    try:
        return SuiteTask(name, suite.load(domain, task, task_kwargs={"random": _CONSTRUCTION_SEED}))
    except mujoco.FatalError as error:
        raise UnsupportedSystemError(f"task {name!r} cannot be loaded: {error}.") from None


class _ExactEvaluator:
    """Sets each state into MuJoCo, runs its forward pass, and asks dm_control's own task."""

    def __init__(self, task: SuiteTask) -> None:
        self._task = task
        self._senses_accelerations = bool(np.any(task.model.sensor_needstage == _STAGE_ACCELERATION))

    def __call__(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        """See `Evaluator`.

        Raises:
          MosimError: a gradient is wanted, which MuJoCo does not give.
        """
        refuse_gradient(self._task.name, state)
        states, contexts = state.double().cpu().numpy(), context.double().cpu().numpy()
        actions = None if action is None else action.double().cpu().numpy()
        befores = None if previous is None else previous.double().cpu().numpy()
        task, physics, suite_task = self._task, self._task.environment.physics, self._task.environment.task
        observations = np.empty((len(states), task.observation_size))
        rewards = np.empty(len(states))
        terminated = np.zeros(len(states), bool)
        for row in range(len(states)):
            if task.context_size:
                task.set_context(contexts[row])
            self._forward(
                states[row],
                None if actions is None else actions[row],
                None if befores is None else befores[row],
            )
            observations[row] = flatten_observation(suite_task.get_observation(physics))
            rewards[row] = suite_task.get_reward(physics)
            terminated[row] = suite_task.get_termination(physics) is not None
        return Evaluation(*(torch.from_numpy(array).to(state.device) for array in (observations, rewards, terminated)))

    def _forward(self, state: np.ndarray, action: np.ndarray | None, previous: np.ndarray | None) -> None:
        model, data = self._task.model, self._task.data
        if action is None:
            data.ctrl[:] = 0
            with self._task.environment.physics.model.disable("actuation"):  # As dm_control does after a reset.
                self._set(state)
                mujoco.mj_forward(model, data)
            return
        data.ctrl[:] = action
        if previous is not None and self._senses_accelerations:
            self._set(previous)
            mujoco.mj_forward(model, data)
            self._set(state)
            mujoco.mj_step1(model, data)
        else:
            self._set(state)
            mujoco.mj_forward(model, data)

    def _set(self, state: np.ndarray) -> None:
        self._task.facts.layout.write(state, self._task.data)


_BATCHED: dict[str, Callable[[SuiteTask], Evaluator]] = {}

_DIFFERENTIABLE: set[str] = set()
"""Names of the tasks whose batched evaluator is differentiable."""

_Factory = Callable[[SuiteTask], Evaluator]


def batched_evaluator(*names: str, differentiable: bool = True) -> Callable[[_Factory], _Factory]:
    """Registers a batched evaluator for the suite's tasks of these names; a name twice raises.

    Args:
      names: as `domain-task`.
      differentiable: whether all of it is computed in torch, on the device of the states; if not, the evaluator
        refuses a gradient.
    """

    def register(factory: _Factory) -> _Factory:
        for name in names:
            if name in _BATCHED:
                raise MosimError(f"task {name!r} already has a batched evaluator.")
            _BATCHED[name] = factory
        if differentiable:
            _DIFFERENTIABLE.update(names)
        return factory

    return register


def batched_tasks() -> tuple[str, ...]:
    """The names of the suite's tasks that have a batched evaluator."""
    return tuple(sorted(_BATCHED))
