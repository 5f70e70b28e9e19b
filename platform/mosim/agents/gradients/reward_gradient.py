"""Whether there is a gradient to follow."""

import numpy as np
import torch

from mosim.core.errors import MosimError
from mosim.envs import EnvironmentCore, Episodes
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.tasks import Task

_EPISODES, _ACTIONS, _ACTION_REPEAT = 16, 8, 2
_SEED = 0


def require_reward_gradient(task: Task, dynamics: DynamicsModel, who: str, instead: str) -> None:
    """Checks that a task's reward has a gradient by actions, through the dynamics.

    Args:
      task: whose reward it is.
      dynamics: that actions act through.
      who: needs it, such as `planner gradient`.
      instead: what to do without, such as `use ppo or sac`.

    Raises:
      MosimError: the task or the dynamics have none, or it is zero for random actions from the task's starts, as that
        of rewards of 0 and 1 is.
    """
    if isinstance(dynamics, MujocoDynamics):
        raise MosimError(f"{who} needs gradients through the dynamics, and MuJoCo has none; {instead}.")
    if not task.differentiable:
        raise MosimError(f"{who} needs a reward with a gradient, which {task.name} does not have; {instead}.")
    episodes = Episodes(EnvironmentCore(task, dynamics), [_SEED] * _EPISODES, action_repeat=_ACTION_REPEAT)
    episodes.begin(np.arange(_EPISODES))
    lower, upper = (torch.tensor(bound) for bound in (task.facts.control_lower, task.facts.control_upper))
    drawn = torch.rand(_ACTIONS, _EPISODES, task.facts.nu, generator=torch.Generator().manual_seed(_SEED))
    controls = (lower + drawn * (upper - lower)).to(dynamics.like).requires_grad_()
    reward = sum((episodes.act(control).reward.sum() for control in controls), torch.zeros(()))
    gradient = torch.autograd.grad(reward, controls)[0] if reward.requires_grad else torch.zeros(())
    if not bool((gradient.nan_to_num() != 0).any()):
        raise MosimError(
            f"{who}: the gradient of {task.name}'s reward is zero for random actions, so there is nothing to follow; "
            f"{instead}."
        )
