"""Residual networks."""

import functools
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mosim.core.frozen import Frozen

Activation = Literal["silu", "gelu", "tanh", "relu"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "relu": torch.relu,
}

_IN_PLACE = _ACTIVATIONS | {"silu": functools.partial(functional.silu, inplace=True), "relu": torch.relu_}
"""The same, allowed to write over what they are given, which gradients would need."""


class NetworkConfig(Frozen):
    """A residual network."""

    width: int = Field(default=128, ge=1, description="Units of each hidden layer.")
    depth: int = Field(default=2, ge=0, description="Residual blocks after the first layer.")
    activation: Activation = Field(default="silu", description="Activation function.")


class ResidualNetwork(nn.Module):
    """A first layer, `depth` residual blocks of one layer each, and a linear output."""

    def __init__(self, inputs: int, outputs: int, config: NetworkConfig, zero_output: bool = False) -> None:
        """`zero_output` starts the output at exactly zero, so that adding the network changes nothing at first."""
        super().__init__()
        self.first = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth))
        self.output = nn.Linear(config.width, outputs)
        self._activation = config.activation
        if zero_output:
            nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps `(..., inputs)` to `(..., outputs)`."""
        activation = (_ACTIVATIONS if torch.is_grad_enabled() else _IN_PLACE)[self._activation]
        hidden = activation(self.first(inputs))
        for block in self.blocks:
            hidden = hidden + activation(block(hidden))
        return self.output(hidden)
