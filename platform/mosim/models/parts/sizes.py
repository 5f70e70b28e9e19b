"""How wide a network has to be for a number of weights, so that models of different kinds can have equally many."""

from collections.abc import Callable

import torch
from torch import nn

_WIDEST = 1 << 14


def width_for(parameters: int, make: Callable[[int], nn.Module], multiple: int = 1) -> int:
    """The width whose network has the number of weights nearest to the wanted one.

    Args:
      parameters: how many weights are wanted, 1 or more.
      make: makes the network of a width; more width must not mean fewer weights.
      multiple: the width is a multiple of this.
    """
    fewer, more = 1, 2
    while _weights(make, more * multiple) < parameters and more * multiple < _WIDEST:
        fewer, more = more, 2 * more
    while more - fewer > 1:
        middle = (fewer + more) // 2
        fewer, more = (middle, more) if _weights(make, middle * multiple) < parameters else (fewer, middle)
    return multiple * min(fewer, more, key=lambda width: abs(_weights(make, width * multiple) - parameters))


def _weights(make: Callable[[int], nn.Module], width: int) -> int:
    with torch.random.fork_rng(devices=[]):  # What is measured here draws nothing that counts.
        return sum(weight.numel() for weight in make(width).parameters())
