"""Humanoid's observation and reward for a batch of states at once."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mosim.geometry import Kinematics, Points
from mosim.tasks.suite.base import StateEvaluator
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task

_STAND_HEIGHT = 1.4
"""Height of the head, in metres, from which it stands."""

_UPRIGHT = 0.9
"""Cosine of the torso's angle to the vertical from which it is upright."""

_STILL_MARGIN = 2.0
"""Metres a second at which the indicator of standing still is 0.1."""

_SPEEDS = {"humanoid-stand": 0.0, "humanoid-walk": 1.0, "humanoid-run": 10.0, "humanoid-run_pure_state": 10.0}
"""Horizontal speed, in metres a second, from which the reward of moving is 1; 0 asks to stand still."""

_EXTREMITIES = ("left_hand", "left_foot", "right_hand", "right_foot")
"""In the order in which they are observed."""

_ROOT = slice(3, 7)
"""The torso's quaternion in `qpos`."""


@batched_evaluator(*_SPEEDS)
class HumanoidEvaluator(StateEvaluator):
    """A humanoid whose torso is free.

    Matches `dm_control.suite.humanoid`: the observation is the joints' angles, the head's height, where hands and feet
    are in the torso's frame, the vertical in that frame, the velocity of the centre of mass and all velocities, or
    `qpos` and `qvel` alone; the reward is for standing upright with little force, times one for the centre of mass's
    horizontal speed or stillness.
    """

    _shares: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        bodies = task.facts.skeleton.bodies
        named = {frame.name: frame for frame in bodies}
        self._kinematics = Kinematics(task.facts.skeleton).double()
        self._centers = Points(bodies, task.model.body_ipos[1:].tolist()).double()
        self._places = Points([named[name] for name in ("head", *_EXTREMITIES)]).double()
        masses = torch.from_numpy(task.model.body_mass[1:].copy())
        self.register_buffer("_shares", masses / masses.sum(), persistent=False)
        self._speed = _SPEEDS[task.name]
        self._pure_state = task.name.endswith("pure_state")

    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateEvaluator`."""
        # MuJoCo takes a quaternion of any length for its direction.
        unit = torch.cat([qpos[:, :3], F.normalize(qpos[:, _ROOT], dim=-1), qpos[:, 7:]], dim=-1)
        poses, velocities = self._kinematics(unit, qvel)
        torso = poses.rotation[:, 0]
        velocity = self._shares @ self._centers.velocities(poses, velocities)
        places = self._places(poses)
        height, vertical = places[:, 0, 2], torso[:, 2]
        reward = self._standing(height, vertical[:, 2], control) * self._moving(velocity)
        if self._pure_state:
            return torch.cat([qpos, qvel], dim=-1), reward
        extremities = (places[:, 1:] - poses.position[:, :1]) @ torso
        parts = [qpos[:, 7:], height.unsqueeze(-1), extremities.flatten(1), vertical, velocity, qvel]
        return torch.cat(parts, dim=-1), reward

    def _standing(self, height: Tensor, uprightness: Tensor, control: Tensor) -> Tensor:
        standing = tolerance(height, (_STAND_HEIGHT, math.inf), margin=_STAND_HEIGHT / 4)
        upright = tolerance(
            uprightness, (_UPRIGHT, math.inf), margin=_UPRIGHT + 1, value_at_margin=0.0, sigmoid="linear"
        )
        effort = tolerance(control, margin=1.0, value_at_margin=0.0, sigmoid="quadratic").mean(dim=-1)
        return standing * upright * (4 + effort) / 5

    def _moving(self, velocity: Tensor) -> Tensor:
        if not self._speed:
            return tolerance(velocity[:, :2], margin=_STILL_MARGIN).mean(dim=-1)
        speed = torch.linalg.vector_norm(velocity[:, :2], dim=-1)
        bounds = (self._speed, math.inf)
        return (5 * tolerance(speed, bounds, margin=self._speed, value_at_margin=0.0, sigmoid="linear") + 1) / 6
