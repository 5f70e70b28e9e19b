"""How constraints give way: MuJoCo's impedance and reference acceleration, their numbers learned."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

_REFERENCE = (2770.0, 105.0)
"""Stiffness, in 1/s^2, and damping, in 1/s, before training: MuJoCo's for its default `solref` and `solimp`."""

_IMPEDANCE = (0.9, 0.95, 0.001, 0.5, 2.0)
"""MuJoCo's default `solimp`: the impedance at no depth and at the full one, that depth in metres or radians, and where
and how steeply it rises in between."""

_SMALLEST = 1e-12
"""Share of the full depth below which a power of it has no slope that is a number."""


NUMBERS = 10
"""Of each constraint."""

WEIGHT, SHAPE, FRICTION = 0, slice(3, 8), 8
"""Where the weight stands, how the impedance rises with depth, and the friction."""


class Compliance(nn.Module):
    """Impedance and reference acceleration of constraints as functions of their depth.

    At depth `r`, and speed `v` out of it, a constraint wants the acceleration `K d(r) r - B v`, and asks for it with
    the stiffness `W d(r) / (1 - d(r))`. The impedance `d` rises from `d0` to `dwidth` over `width`, by two powers of
    the depth that meet at `midpoint`: MuJoCo's model (documentation, "Computation", "Solver parameters"; `solref` gives
    `K` and `B`, `solimp` the impedance, masses in the initial pose give `W`). All numbers are learned, each as what all
    constraints share and what one adds to it.

    Attributes:
      shared: `(NUMBERS,)`: of all constraints; logarithms of `W`, `K`, `B`, logits of `d0` and `dwidth`, the logarithm
        of `width`, the logit of `midpoint`, the logarithm of `power - 1`, that of the friction, and that of
        `impratio`; each less its value before training. Contacts alone have friction, elliptic cones `impratio`.
      own: `(constraints, NUMBERS)`: what is added to it.
    """

    _initial: Tensor

    def __init__(self, constraints: int) -> None:
        super().__init__()
        stiffness, damping = _REFERENCE
        first, full, width, midpoint, power = _IMPEDANCE
        initial = (
            0.0, math.log(stiffness), math.log(damping), _logit(first), _logit(full), math.log(width),
            _logit(midpoint), math.log(power - 1), 0.0, 0.0,
        )  # fmt: skip
        self.register_buffer("_initial", torch.tensor(initial), persistent=False)
        self.shared = nn.Parameter(torch.zeros(len(initial)))
        self.own = nn.Parameter(torch.zeros(constraints, len(initial)))

    def learned(self) -> Tensor:
        """What `Impedances.of` takes, of all constraints, `(constraints, NUMBERS)`."""
        return self._initial + self.shared + self.own

    def forward(self, sample: Tensor, which: Tensor) -> "Impedances":
        """Of constraints that act, `(n,)`.

        Args:
          sample: the index in the batch of the state in which each acts, `(n,)`; all states have the same numbers.
          which: constraint it is, `(n,)`.
        """
        del sample
        return Impedances.of(self._initial + self.shared + self.own[which])


class Impedances(NamedTuple):
    """Numbers of constraints, `(n,)` each.

    `weight` is `W` over that before training, `ratio` is `impratio`, and the rest has MuJoCo's words.
    """

    weight: Tensor
    stiffness: Tensor
    damping: Tensor
    first: Tensor
    full: Tensor
    width: Tensor
    midpoint: Tensor
    power: Tensor
    friction: Tensor
    ratio: Tensor

    @classmethod
    def of(cls, learned: Tensor) -> "Impedances":
        """The numbers that the last dimension of `(n, NUMBERS)` stands for."""
        weight, stiffness, damping, first, full, width, midpoint, power, friction, ratio = learned.unbind(-1)
        return cls(
            weight.exp(), stiffness.exp(), damping.exp(), first.sigmoid(), full.sigmoid(), width.exp(),
            midpoint.sigmoid(), 1 + power.exp(), friction.exp(), ratio.exp(),
        )  # fmt: skip

    def at(self, depth: Tensor) -> tuple[Tensor, Tensor]:
        """What a constraint does at depths, `(n,)`, in metres or radians.

        Returns:
          With which stiffness it asks for its acceleration, over `W` before training; and that acceleration at rest, in
          SI units.
        """
        share = (depth / self.width).clamp(_SMALLEST, 1.0)
        # Each power of its own side alone: a large one overflows on the other, and its gradient is no number.
        below, above = torch.minimum(share, self.midpoint), torch.maximum(share, self.midpoint)
        rising = self.midpoint * (below / self.midpoint) ** self.power
        ending = 1 - (1 - self.midpoint) * ((1 - above).clamp_min(_SMALLEST) / (1 - self.midpoint)) ** self.power
        impedance = self.first + torch.where(share <= self.midpoint, rising, ending) * (self.full - self.first)
        return self.weight * impedance / (1 - impedance), self.stiffness * impedance * depth


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
