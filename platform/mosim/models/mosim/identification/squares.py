"""The matrix of the normal equations of a step fit, of derivatives of which most are zero."""

import torch
from torch import Tensor

from mosim.models.mosim.constraints.compliance import NUMBERS


class Squares:
    """Sums over errors of products of their derivatives, by weights and by the numbers of constraints.

    The weights of masses, forces and gears count in every state; of the constraints few act in any.
    """

    def __init__(self, weights: int, constraints: int, like: Tensor) -> None:
        columns = NUMBERS * (constraints + 1)  # The last is of all that are not looked for.
        self._dense = like.new_zeros(weights, weights)
        self._mixed, self._sparse = like.new_zeros(columns, weights), like.new_zeros(columns * columns)

    def add(self, by_weights: Tensor, by_numbers: Tensor, which: Tensor) -> None:
        """Adds states.

        Args:
          by_weights: derivatives of errors, or of combinations of them, `(n, m, weights)`.
          by_numbers: `(n, m, k, NUMBERS)`: of constraints that act.
          which: `(n, k)`: which these are.
        """
        dense, sparse = by_weights.flatten(0, 1), by_numbers.flatten(2)
        self._dense += dense.mT @ dense
        columns = (which.unsqueeze(-1) * NUMBERS + torch.arange(NUMBERS)).flatten(1)
        if by_weights.shape[-1]:
            self._mixed.index_add_(0, columns.flatten(), (sparse.mT @ by_weights).flatten(0, 1))
        places = columns.unsqueeze(2) * len(self._mixed) + columns.unsqueeze(1)
        self._sparse.index_add_(0, places.flatten(), (sparse.mT @ sparse).flatten())

    def of_unknowns(self, by_shared: Tensor) -> Tensor:
        """The sums by unknowns: weights, what constraints share, and what is their own.

        Args:
          by_shared: `(constraints * NUMBERS, shared)`: how numbers of constraints change with what they share.
        """
        count = len(by_shared)
        numbers = torch.cat([by_shared, torch.eye(count).to(by_shared)], dim=-1)
        mixed, sparse = self._mixed[:count], self._sparse.view(len(self._mixed), -1)[:count, :count]
        corner = numbers.mT @ mixed
        top = torch.cat([self._dense, corner.mT], dim=-1)
        return torch.cat([top, torch.cat([corner, numbers.mT @ sparse @ numbers], dim=-1)])


def by_learned_weights(by_unknowns: Tensor, by_weights: Tensor) -> Tensor:
    """The chain rule: `(n, m, unknowns)` as `(n, m, weights)`, by a sparse `(weights, unknowns)`.

    The ten numbers of a link are learned by ten weights of its own, so nearly all of it is zero.
    """
    rows = by_unknowns.flatten(0, 1)
    return (by_weights @ rows.mT).mT.unflatten(0, by_unknowns.shape[:2])
