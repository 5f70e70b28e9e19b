"""Acrobot's observation and reward for a batch of states at once."""

import torch
from torch import Tensor

from mosim.tasks.suite.base import StateEvaluator
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task

_MARGIN = 1.0
"""Distance from the target, in metres, at which the smooth reward is 0.1."""


@batched_evaluator("acrobot-swingup", "acrobot-swingup_sparse")
class AcrobotEvaluator(StateEvaluator):
    """Two arms that swing; the tip shall reach a target above.

    Matches `dm_control.suite.acrobot`: the observation is the sines and then the cosines of the arms' angles to the
    vertical, and the two velocities; the reward is 1 within the target, and falls off with the distance or is 0 beyond.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        model = task.model
        self._upper_length = float(model.body("lower_arm").pos[2])
        self._lower_length = float(model.site("tip").pos[2])
        self._target_height = float(model.site("target").pos[2] - model.body("upper_arm").pos[2])
        self._target_radius = float(model.site("target").size[0])
        self._margin = 0.0 if task.name.endswith("sparse") else _MARGIN

    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateEvaluator`."""
        del control
        angles = qpos.cumsum(dim=-1)
        sines, cosines = torch.sin(angles), torch.cos(angles)
        across = self._upper_length * sines[:, 0] + self._lower_length * sines[:, 1]
        up = self._upper_length * cosines[:, 0] + self._lower_length * cosines[:, 1]
        distance = torch.linalg.vector_norm(torch.stack([across, up - self._target_height], dim=-1), dim=-1)
        reward = tolerance(distance, bounds=(0.0, self._target_radius), margin=self._margin)
        return torch.cat([sines, cosines, qvel], dim=-1), reward
