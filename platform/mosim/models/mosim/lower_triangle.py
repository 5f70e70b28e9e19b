"""Lower triangular matrices from a network's outputs."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LowerTriangle(nn.Module):
    """A vector of `n (n + 1) / 2` numbers as a lower triangular matrix with a positive diagonal."""

    _place: Tensor
    _turned: Tensor
    _corner: Tensor
    _diagonal: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        rows, columns = torch.tril_indices(size, size)
        entries = rows.numel()
        # Where each element of the matrix stands among the entries, a zero, the diagonal, and a turned corner.
        place = torch.full((size, size), entries)
        place[rows, columns] = torch.arange(entries)
        diagonal = place.diagonal().clone()
        place.diagonal().copy_(entries + 1 + torch.arange(size))
        turned = place.clone()
        turned[:3, :3] = entries + 1 + size + torch.arange(9).unflatten(0, (3, 3))[:size, :size]
        self.size = size
        self.register_buffer("_place", place.flatten(), persistent=False)
        self.register_buffer("_turned", turned.flatten(), persistent=False)
        self.register_buffer("_corner", place[:3, :3].flatten(), persistent=False)
        self.register_buffer("_diagonal", diagonal, persistent=False)

    def forward(self, entries: Tensor, rotation: Tensor | None = None) -> Tensor:
        """Maps `(..., n (n + 1) / 2)` to `(..., n, n)`.

        Args:
          entries: of the matrix, row by row.
          rotation: `(..., 3, 3)`: turns the first three rows.
        """
        # softplus(0.54) = 1: a network that outputs nothing yet stands for the identity.
        positive = functional.softplus(entries.index_select(-1, self._diagonal) + 0.5413) + 1e-4
        known = torch.cat([entries, torch.zeros_like(entries[..., :1]), positive], dim=-1)
        place = self._place
        if rotation is not None:  # These rows are zero beyond the first three columns.
            corner = rotation @ known.index_select(-1, self._corner).unflatten(-1, (3, 3))
            known, place = torch.cat([known, corner.flatten(-2)], dim=-1), self._turned
        return known.index_select(-1, place).unflatten(-1, (self.size, self.size))
