"""Walker's observation and reward for a batch of states at once."""

import math

import torch
from torch import Tensor

from mosim.tasks.suite.base import StateEvaluator
from mosim.tasks.suite.planar import PlanarBody
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task

_STAND_HEIGHT = 1.2
"""Height of the torso, in metres, from which it stands."""

_SPEEDS = {"walker-stand": 0.0, "walker-walk": 1.0, "walker-run": 8.0}
"""Horizontal speed, in metres a second, from which the reward of moving is 1; 0 asks for none."""


@batched_evaluator(*_SPEEDS)
class WalkerEvaluator(StateEvaluator):
    """A planar walker on two legs.

    Matches `dm_control.suite.walker`: the observation is cosine and sine of each body's angle, the torso's height and
    all velocities; the reward is for standing upright, times one for the horizontal speed of the centre of mass.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._body = PlanarBody(task.model)
        self._torso = task.model.body("torso").id - 1
        self._height = float(task.model.body("torso").pos[2])
        self._lift = int(task.model.joint("rootz").qposadr[0])
        self._speed = _SPEEDS[task.name]

    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateEvaluator`."""
        del control
        cosines, sines = self._body.directions(qpos)
        height = qpos[:, self._lift] + self._height
        observation = torch.cat([torch.stack([cosines, sines], dim=-1).flatten(1), height.unsqueeze(-1), qvel], dim=-1)
        standing = tolerance(height, (_STAND_HEIGHT, math.inf), margin=_STAND_HEIGHT / 2)
        upright = (1 + cosines[:, self._torso]) / 2
        reward = (3 * standing + upright) / 4
        if self._speed:
            speed = self._body.center_velocity(qvel, cosines, sines)[:, 0]
            moving = tolerance(
                speed, (self._speed, math.inf), margin=self._speed / 2, value_at_margin=0.5, sigmoid="linear"
            )
            reward = reward * (5 * moving + 1) / 6
        return observation, reward
