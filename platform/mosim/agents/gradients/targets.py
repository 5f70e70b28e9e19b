"""What value functions learn."""

import torch
from torch import Tensor


def td_lambda(reward: Tensor, value: Tensor, ended: Tensor, terminated: Tensor, gamma: float, decay: float) -> Tensor:
    """Targets by TD(lambda) over a window (Sutton and Barto, "Reinforcement Learning", section 12.3), `(steps, n)`.

    Args:
      reward: `(steps, n)`.
      value: of the observation that each step led to, before any reset, `(steps, n)`.
      ended: whether the episode ended with the step, `(steps, n)` bool; it goes on with another one.
      terminated: whether it ended for good, so that nothing follows, `(steps, n)` bool.
      gamma: discount.
      decay: lambda, in [0, 1].
    """
    following = torch.where(terminated, 0.0, value)
    targets = torch.empty_like(reward)
    later = following[-1]
    for step in reversed(range(len(reward))):
        mixed = torch.where(ended[step], following[step], (1 - decay) * following[step] + decay * later)
        targets[step] = later = reward[step] + gamma * mixed
    return targets
