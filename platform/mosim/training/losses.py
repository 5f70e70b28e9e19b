"""The loss of a rollout against the truth."""

import torch
from torch import Tensor

from mosim.core.shapes import Errors, Window, WindowActions
from mosim.models import NeuralSimulator


def rollout_errors(model: NeuralSimulator, states: Window, actions: WindowActions) -> Errors:
    """Errors of an open-loop rollout, in units of a physics step's standard deviation.

    Args:
      model: predicts.
      states: true states, `(batch, horizon + 1, state_size)`; the first is where the rollout starts.
      actions: `(batch, horizon, nu)`.

    Returns:
      `(batch, horizon, 2 nv)`: position errors in the tangent space, then velocity errors.
      Activations follow the controls whatever the rest does, and have no part in it.
    """
    predicted = model.rollout(states[:, 0], actions)
    qpos, qvel, _ = model.facts.layout.split(predicted)
    true_qpos, true_qvel, _ = model.facts.layout.split(states[:, 1:])
    step_std = model.facts.timestep * model.statistics.acceleration_std
    return torch.cat(
        [
            model.space.difference(true_qpos, qpos) / model.statistics.displacement_std,
            (qvel - true_qvel) / step_std,
        ],
        dim=-1,
    )


def mean_loss(errors: Errors, loss: str, huber_delta: float) -> Tensor:
    """The mean of squared errors, or of Huber's loss scaled so that it is the squared error where that is small."""
    if loss == "mse":
        return errors.square().mean()
    return 2 * torch.nn.functional.huber_loss(errors, torch.zeros_like(errors), delta=huber_delta)
