"""The suite's soft indicator of a number within bounds, in torch."""

import math
from typing import Literal

import torch
from torch import Tensor

Sigmoid = Literal["gaussian", "linear", "quadratic"]


def tolerance(
    value: Tensor,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: float = 0.0,
    sigmoid: Sigmoid = "gaussian",
    value_at_margin: float = 0.1,
) -> Tensor:
    """1 within the bounds, less the farther from them; as `dm_control.utils.rewards.tolerance`.

    Args:
      value: of any shape.
      bounds: inclusive lower and upper bound; either may be infinite.
      margin: distance from the bounds, in the value's unit and at least 0, at which `value_at_margin` is returned;
        with 0, all outside the bounds is 0.
      sigmoid: how it falls with the distance.
      value_at_margin: from 0 to 1, and above 0 for `gaussian`.

    Returns:
      Of the value's shape, in [0, 1]; its gradient is finite, also where a bound is infinite.
    """
    lower, upper = bounds
    if margin == 0:
        return ((value >= lower) & (value <= upper)).to(value.dtype)
    distance = torch.maximum(lower - value, value - upper).clamp(min=0)
    if sigmoid == "gaussian":
        return torch.exp(distance.square() * (math.log(value_at_margin) / margin**2))
    fall = (1 - value_at_margin) * (distance / margin if sigmoid == "linear" else (distance / margin).square())
    return (1 - fall).clamp(min=0)
