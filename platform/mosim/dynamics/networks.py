"""Residual networks."""

import torch
from torch import Tensor, nn

from mosim.dynamics.config import NetworkConfig

_ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": nn.GELU, "tanh": nn.Tanh, "relu": nn.ReLU}


class ResidualNetwork(nn.Module):
    """A first layer, `depth` residual blocks of one layer each, and a linear output."""

    def __init__(self, inputs: int, outputs: int, config: NetworkConfig, zero_output: bool = False) -> None:
        """`zero_output` starts the output at exactly zero, so that adding the network changes nothing at first."""
        super().__init__()
        self.first = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth))
        self.output = nn.Linear(config.width, outputs)
        self.activation = _ACTIVATIONS[config.activation]()
        if zero_output:
            nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps `(..., inputs)` to `(..., outputs)`."""
        hidden = self.activation(self.first(inputs))
        for block in self.blocks:
            hidden = hidden + self.activation(block(hidden))
        return self.output(hidden)


class LowerTriangle(nn.Module):
    """A vector of `n (n + 1) / 2` numbers as a lower triangular matrix with a positive diagonal."""

    _place: Tensor
    _mask: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        rows, columns = torch.tril_indices(size, size)
        self.size = size
        self.register_buffer("_place", torch.zeros(size * size, dtype=torch.long), persistent=False)
        self.register_buffer("_mask", torch.zeros(size * size), persistent=False)
        self._place[rows * size + columns] = torch.arange(rows.numel())
        self._mask[rows * size + columns] = 1.0

    def forward(self, entries: Tensor) -> Tensor:
        """Maps `(..., n (n + 1) / 2)` to `(..., n, n)`."""
        full = (entries.index_select(-1, self._place) * self._mask).unflatten(-1, (self.size, self.size))
        diagonal = full.diagonal(dim1=-2, dim2=-1)
        # softplus(0.54) = 1: a network that outputs nothing yet stands for the identity.
        positive = nn.functional.softplus(diagonal + 0.5413) + 1e-4
        return full + torch.diag_embed(positive - diagonal)
