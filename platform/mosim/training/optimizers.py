"""What moves the weights: SOAP, and Adam beside it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mosim.training.recipe import OptimizerName

_ROUNDING = 1e-5
"""Of a turned gradient, what is smaller than this share of the largest is rounding; it is not made as large."""

_EPSILON = 1e-10
"""Beside the root of the second moment: gradients of the last digits of a smooth function are small themselves."""

_YOUNG = 40
"""Steps at first after each of which the basis turns: it turns far as gradients come in, and second moments of the old
basis would be mistaken for those of the new, which makes steps too large."""

_COVARIANCE_STEPS = 2
"""Steps between updates of the covariances: every other gradient tells as much."""


class Soap(torch.optim.Optimizer):
    """Adam on gradients that are turned into the slowly moving eigenbasis of their rows' and columns' covariances.

    Vyas et al., "SOAP: Improving and stabilizing Shampoo using Adam" (arXiv 2409.11321), algorithm 3, with Adam's bias
    correction, with the covariances updated every other step, and with a basis that turns at every step at first.
    Weights that are matrices are turned on each side that has at most `largest` rows or columns, and so is each matrix
    of a batch `(members, rows, columns)`; all others are given to Adam as they are.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float] = (0.95, 0.98),
        basis_steps: int = 20,
        largest: int = 512,
    ) -> None:
        """Prepares the optimiser.

        Args:
          parameters: what learns.
          learning_rate: the size of a step, of each weight in the eigenbasis.
          betas: of the running means of gradients, and of their squares and covariances.
          basis_steps: steps between turns of the basis: one of orthogonal iteration each.
          largest: rows or columns above which a side is left as it is, since a turn costs their cube.
        """
        super().__init__(parameters, {"lr": learning_rate})
        self._betas, self._basis_steps, self._largest = betas, basis_steps, largest

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Moves every weight that has a gradient."""
        if closure is not None:
            raise ValueError("Soap does not accept a closure; call backward() before step().")
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    self._move(weights, weights.grad, self.state[weights], group["lr"])

    def _move(self, weights: Tensor, gradient: Tensor, state: dict[str, Any], learning_rate: float) -> None:
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
            for side, turned in self._sides(gradient):
                covariance = turned @ turned.mT
                # In double precision, since squares of the first gradients may be too small for single.
                wide = turned.double()
                # Largest first, the order that orthogonal iteration keeps.
                basis = torch.linalg.eigh(wide @ wide.mT)[1].flip(-1).to(gradient).contiguous()
                state |= {f"covariance_{side}": covariance, f"basis_{side}": basis}
        state["step"] = int(state["step"]) + 1
        of_mean, of_square = self._betas
        rows, columns = state.get("basis_0"), state.get("basis_1")
        turned = _turn(gradient, rows, columns)
        mean, square = state["mean"].lerp_(turned, 1 - of_mean), state["square"].lerp_(turned.square(), 1 - of_square)
        root = square.sqrt()
        if rows is not None or columns is not None:
            root += _ROUNDING * root.amax((-2, -1), keepdim=True)
        # Both moments start at zero, so they are small at first.
        from_zero = (1 - of_square ** state["step"]) ** 0.5 / (1 - of_mean ** state["step"])
        back = (None if basis is None else basis.mT for basis in (rows, columns))
        weights.sub_(_turn(mean / (root + _EPSILON), *back), alpha=learning_rate * from_zero)
        if state["step"] % _COVARIANCE_STEPS == 0:
            for side, sided in self._sides(gradient):
                state[f"covariance_{side}"].lerp_(sided @ sided.mT, 1 - of_square)
        if state["step"] <= _YOUNG or state["step"] % self._basis_steps == 0:
            for side, _ in self._sides(gradient):
                _follow(state, side)

    def _sides(self, gradient: Tensor) -> Iterator[tuple[int, Tensor]]:
        """The sides of a matrix that are turned: 0 and the gradient, 1 and its transpose."""
        batch_of_vectors = gradient.dim() == 3 and gradient.shape[1] == 1
        if gradient.dim() in (2, 3) and not batch_of_vectors:
            for side, sided in enumerate((gradient, gradient.mT)):
                if 1 < sided.shape[-2] <= self._largest:
                    yield side, sided


def _turn(matrix: Tensor, rows: Tensor | None, columns: Tensor | None) -> Tensor:
    if rows is not None:
        matrix = rows.mT @ matrix
    return matrix if columns is None else matrix @ columns


def _follow(state: dict[str, Any], side: int) -> None:
    """One orthogonal iteration of a side's basis, and the moments taken along."""
    covariance, basis = state[f"covariance_{side}"], state[f"basis_{side}"]
    ahead = covariance @ basis
    order = (basis * ahead).sum(-2, keepdim=True).argsort(descending=True)  # (..., 1, columns)
    rows_or_columns = (order.mT, -2) if side == 0 else (order, -1)
    state["square"] = torch.take_along_dim(state["square"], *rows_or_columns)
    # Laid out as a checkpoint gives it back: the last bit of a product depends on that.
    following = torch.linalg.qr(torch.take_along_dim(ahead, order, -1))[0].contiguous()
    change = following.mT @ basis
    state["mean"] = change @ state["mean"] if side == 0 else state["mean"] @ change.mT
    state[f"basis_{side}"] = following


OPTIMIZERS: dict[OptimizerName, Callable[[list[nn.Parameter], float], torch.optim.Optimizer]] = {
    "soap": Soap,
    "adam": lambda parameters, learning_rate: torch.optim.Adam(parameters, lr=learning_rate, fused=True),
}
"""By their names in recipes, called with the weights that learn and the rate."""
