"""Pendulum's observation and reward for a batch of states at once."""

import math

import torch
from torch import Tensor

from mosim.tasks.suite.base import StateEvaluator
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator

_ANGLE_BOUND = 8.0
"""Degrees from the vertical within which the reward is 1."""


@batched_evaluator("pendulum-swingup")
class PendulumEvaluator(StateEvaluator):
    """A pole that swings.

    Matches `dm_control.suite.pendulum`: the observation is cosine and sine of the pole's angle to the vertical, and its
    velocity; the reward is 1 near the vertical, else 0.
    """

    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateEvaluator`."""
        del control
        cosine = torch.cos(qpos)
        reward = tolerance(cosine[:, 0], bounds=(math.cos(math.radians(_ANGLE_BOUND)), 1.0))
        return torch.cat([cosine, torch.sin(qpos), qvel], dim=-1), reward
