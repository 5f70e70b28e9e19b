"""How fast a simulator predicts, in a fraction of a second."""

import time

import numpy as np
import torch
from torch import Tensor

from mosim.core.threads import single_threaded
from mosim.models import DynamicsModel

_BATCH = 256
_STEPS = 20


@single_threaded
@torch.no_grad()
def rollout_speed(
    model: DynamicsModel, states: Tensor | np.ndarray, actions: Tensor | np.ndarray, device: torch.device | str = "cpu"
) -> float:
    """Physics steps a second that a model predicts open loop, in batches, here and now.

    Args:
      model: on `device`.
      states: `(N, nq + nv)`, of which some are started from.
      actions: `(N, nu)`; each start's is held.
      device: where the model is.
    """
    precision = next((weight.dtype for weight in model.parameters()), torch.float64)
    rows = torch.linspace(0, len(states) - 1, _BATCH).long()
    state = torch.as_tensor(states)[rows].to(device, precision)
    held = torch.as_tensor(actions)[rows].unsqueeze(1).expand(-1, _STEPS, -1).to(device, precision)
    model.rollout(state, held[:, :1])
    began = time.perf_counter()
    model.rollout(state, held).sum().item()  # Whose number a GPU must have come to.
    return _BATCH * _STEPS / (time.perf_counter() - began)
