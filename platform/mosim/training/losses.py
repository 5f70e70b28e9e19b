"""Means of errors, which are losses."""

import torch
from torch import Tensor

from mosim.core.shapes import Errors


def mean_loss(errors: Errors, loss: str, huber_delta: float) -> Tensor:
    """The mean of squared errors, or of Huber's loss scaled so that it is the squared error where that is small."""
    if loss == "mse":
        return errors.square().mean()
    return 2 * torch.nn.functional.huber_loss(errors, torch.zeros_like(errors), delta=huber_delta)
