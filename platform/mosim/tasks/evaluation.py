"""Observation, reward and end of a task, for a batch of states set from outside."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mosim.core.errors import MosimError


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


def refuse_gradient(name: str, state: Tensor) -> None:
    """For evaluators that ask MuJoCo: better none at all than a gradient that leaves its part out.

    Raises:
      MosimError: a gradient by the state is wanted.
    """
    if torch.is_grad_enabled() and state.requires_grad:
        raise MosimError(f"{name} is evaluated by MuJoCo, so its reward has no gradient; detach the state.")
