"""Cartpole's observation and reward for a batch of states at once, with any number of poles."""

import torch
from torch import Tensor

from mosim.tasks.suite.base import StateEvaluator
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task

_CART_RANGE = (-0.25, 0.25)
"""Where the sparse reward wants the cart, in metres."""

_COSINE_RANGE = (0.995, 1.0)
"""Cosines of a pole's angle that the sparse reward takes for upright."""

_CART_MARGIN = 2.0
"""Metres from the middle at which the smooth reward's indicator of a centred cart is 0.1."""

_VELOCITY_MARGIN = 5.0
"""Radians a second at which its indicator of a still pole is 0.1."""


@batched_evaluator(
    "cartpole-balance",
    "cartpole-balance_sparse",
    "cartpole-swingup",
    "cartpole-swingup_sparse",
    "cartpole-two_poles",
    "cartpole-three_poles",
)
class CartpoleEvaluator(StateEvaluator):
    """Poles that stand on a cart, each on the one before.

    Matches `dm_control.suite.cartpole`: the observation is the cart's position, cosine and sine of each pole's angle to
    the vertical, and all velocities; the reward is a product of upright, centred, still and without force, or 1 where
    cart and poles are within a range.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._sparse = task.name.endswith("sparse")

    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """See `StateEvaluator`."""
        cart, angles = qpos[:, 0], qpos[:, 1:].cumsum(dim=-1)
        cosines, sines = torch.cos(angles), torch.sin(angles)
        observation = torch.cat([qpos[:, :1], torch.stack([cosines, sines], dim=-1).flatten(1), qvel], dim=-1)
        if self._sparse:
            return observation, tolerance(cart, _CART_RANGE) * tolerance(cosines, _COSINE_RANGE).prod(dim=-1)
        upright = (cosines.mean(dim=-1) + 1) / 2
        centered = (1 + tolerance(cart, margin=_CART_MARGIN)) / 2
        small_control = (4 + tolerance(control[:, 0], margin=1.0, value_at_margin=0.0, sigmoid="quadratic")) / 5
        small_velocity = (1 + tolerance(qvel[:, 1:], margin=_VELOCITY_MARGIN).amin(dim=-1)) / 2
        return observation, upright * small_control * small_velocity * centered
