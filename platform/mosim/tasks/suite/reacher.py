"""Reacher's observation and reward for a batch of states at once."""

import torch
from torch import Tensor

from mosim.tasks.evaluation import Evaluation
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task


@batched_evaluator("reacher-easy", "reacher-hard")
class ReacherEvaluator:
    """A planar arm of two hinges; the episode's context is the target's position.

    Matches `dm_control.suite.reacher`: the observation is the two angles, the vector from finger to target and the
    two velocities; the reward is 1 within the sum of the finger's and the target's radius, else 0.
    """

    def __init__(self, task: Task) -> None:
        model = task.model
        arm, finger, target = model.body("hand"), model.body("finger"), model.geom("target")
        self._upper_length = float(arm.pos[0])
        self._lower_length = float(finger.pos[0] + model.geom("finger").pos[0])
        self._radius = float(target.size[0] + model.geom("finger").size[0])

    def __call__(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        """See `Evaluator`."""
        del action, previous
        state, target = state.double(), context.double()
        position, velocity = state[:, :2], state[:, 2:]
        shoulder, elbow = position[:, 0], position[:, 0] + position[:, 1]
        finger = torch.stack(
            [
                self._upper_length * torch.cos(shoulder) + self._lower_length * torch.cos(elbow),
                self._upper_length * torch.sin(shoulder) + self._lower_length * torch.sin(elbow),
            ],
            dim=-1,
        )
        to_target = target - finger
        reward = (torch.linalg.vector_norm(to_target, dim=-1) <= self._radius).double()
        observation = torch.cat([position, to_target, velocity], dim=-1)
        return Evaluation(observation, reward, torch.zeros_like(reward, dtype=torch.bool))
