"""Observation, reward and termination of a task, for a batch of states set from outside."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.tasks.task import Task, flatten_observation

_STAGE_ACCELERATION = int(mujoco.mjtStage.mjSTAGE_ACC)


class Evaluation(NamedTuple):
    """What a task says of a batch of states.

    Attributes:
      observation: `(batch, observation_size)`, float64.
      reward: `(batch,)`, float64, within the task's own range, which for the suite is [0, 1].
      terminated: `(batch,)`, bool: the task itself ends the episode here.
    """

    observation: Tensor
    reward: Tensor
    terminated: Tensor


class Evaluator(Protocol):
    """A task's observation and reward for states set from outside."""

    def __call__(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        """Evaluates the task.

        Args:
          state: `(batch, state_size)`.
          action: `(batch, nu)`, the action that led here; None at the start of an episode.
          context: `(batch, context_size)`.
          previous: `(batch, state_size)`, the state one physics step before, or None. dm_control reads the sensors of
            forces and accelerations (hopper's touch) from the step that led to a state, not from the state.
        """
        ...


class ExactEvaluator:
    """Sets each state into MuJoCo, runs its forward pass, and asks dm_control's own task. Serves every task."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._senses_accelerations = bool(np.any(task.model.sensor_needstage == _STAGE_ACCELERATION))

    def __call__(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        """See `Evaluator`."""
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


_BATCHED: dict[str, Callable[[Task], Evaluator]] = {}


def batched_evaluator(*names: str) -> Callable[[Callable[[Task], Evaluator]], Callable[[Task], Evaluator]]:
    """Registers a batched evaluator for the tasks of these names; a name twice raises."""

    def register(factory: Callable[[Task], Evaluator]) -> Callable[[Task], Evaluator]:
        for name in names:
            if name in _BATCHED:
                raise MosimError(f"task {name!r} has a batched evaluator already.")
            _BATCHED[name] = factory
        return factory

    return register


def evaluator_for(task: Task, exact: bool = False) -> Evaluator:
    """The fastest evaluator of a task: its batched one where there is one and `exact` is false, else the exact one."""
    if not exact and (factory := _BATCHED.get(task.name)):
        return factory(task)
    return ExactEvaluator(task)


def batched_tasks() -> tuple[str, ...]:
    """The names of the tasks that have a batched evaluator."""
    return tuple(sorted(_BATCHED))
