"""Cheetah's observation and reward for a batch of states at once."""

import math

import torch
from torch import Tensor

from mosim.tasks.suite.base import StateEvaluator
from mosim.tasks.suite.planar import PlanarBody
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task

_RUN_SPEED = 10.0
"""Metres a second from which the reward is 1."""


@batched_evaluator("cheetah-run")
class CheetahEvaluator(StateEvaluator):
    """A planar runner.

    Matches `dm_control.suite.cheetah`: the observation is all positions but the horizontal one, and all velocities; the
    reward grows with the horizontal speed of the centre of mass.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._body = PlanarBody(task.model)

    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateEvaluator`."""
        del control
        speed = self._body.center_velocity(qvel, *self._body.directions(qpos))[:, 0]
        reward = tolerance(speed, (_RUN_SPEED, math.inf), margin=_RUN_SPEED, value_at_margin=0.0, sigmoid="linear")
        return torch.cat([qpos[:, 1:], qvel], dim=-1), reward
