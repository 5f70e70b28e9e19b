"""Which parameters a set of linear equations tells one by one, and which only together with others.

The base parameters of Gautier and Khalil ("Direct calculation of minimum set of inertial parameters of serial robots",
IEEE Trans. Robotics and Automation 1990), found numerically (Gautier, "Numerical calculation of the base inertial
parameters of robots", 1990): a column of the equations that others span adds nothing, and its parameter goes into
theirs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SPANNED = 1e-6
"""Share of a column's length that lies outside the span of others, below which it is in it."""

_ABSENT = 1e-9
"""Share of the longest column's length below which a column is none."""

_NO_WEIGHT = 1e-6


class BaseParameters(NamedTuple):
    """`told[k] + sum_d weights[k, d] * untold[d]` is told by the equations; no `untold[d]` alone is.

    Attributes:
      told, untold: places of parameters.
      weights: `(told, untold)`: by how much a told one can fall for each unit that an untold one rises, with every
        equation as it was.
    """

    told: list[int]
    untold: list[int]
    weights: Tensor

    def combinations(self) -> Tensor:
        """The told combinations, one a row, `(told, n)`."""
        rows = self.weights.new_zeros(len(self.told), len(self.told) + len(self.untold))
        rows[torch.arange(len(self.told)), self.told] = 1.0
        rows[:, self.untold] = self.weights
        return rows

    def changes(self) -> Tensor:
        """What can change together with every equation as it was, one a row, `(untold, n)`."""
        rows = self.weights.new_zeros(len(self.untold), len(self.told) + len(self.untold))
        rows[torch.arange(len(self.untold)), self.untold] = 1.0
        rows[:, self.told] = -self.weights.mT
        return rows


def base_parameters(equations: Tensor, order: Sequence[int]) -> BaseParameters:
    """Splits parameters into those told and those that go into them.

    Args:
      equations: `(m, n)`: a row each, over parameters of comparable size.
      order: all places: of parameters that are told together, the first ones are said to be told.
    """
    triangle = torch.linalg.qr(equations, mode="r")[1] if len(equations) > equations.shape[1] else equations
    lengths = triangle.norm(dim=0)
    basis = triangle.new_zeros(0, len(triangle))
    told, untold = [], []
    for place in order:
        rest = triangle[:, place]
        for _ in range(2):  # Once more, for what rounding leaves of the first time.
            rest = rest - (basis @ rest) @ basis
        if lengths[place] <= _ABSENT * lengths.max() or rest.norm() <= _SPANNED * lengths[place]:
            untold.append(place)
        else:
            told.append(place)
            basis = torch.cat([basis, (rest / rest.norm()).unsqueeze(0)])
    upper = basis @ triangle[:, told]
    weights = torch.linalg.solve_triangular(upper, basis @ triangle[:, untold], upper=True)
    return BaseParameters(told, untold, torch.where(weights.abs() > _NO_WEIGHT, weights, 0.0))
