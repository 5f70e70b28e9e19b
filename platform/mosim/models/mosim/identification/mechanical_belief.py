"""What mechanics are likely before any data: masses as the guess has them, no negative damping, and little armature."""

import torch
from torch import Tensor

from mosim.models.mosim.identification.force_balance import (
    ARMATURE,
    CONSTANT,
    DAMPING,
    FRICTION,
    GEAR,
    MASS_UNKNOWNS,
    STIFFNESS,
    ForceBalance,
)
from mosim.models.mosim.tree.servos import DAMPING as SERVO_DAMPING
from mosim.models.mosim.tree.servos import NUMBERS as SERVO_NUMBERS
from mosim.models.mosim.tree.servos import STIFFNESS as SERVO_STIFFNESS

_LIKELY = {ARMATURE: 0.1, DAMPING: 10.0, STIFFNESS: 1.0, CONSTANT: 1.0, FRICTION: 1.0, GEAR: 10.0}
"""How large a joint's numbers are likely to be, in units of their scales. Where the data cannot tell armature from
inertia, or a spring from gravity, the likelier is taken: that there is none."""

_TENDONS = (1.0, 10.0)
"""The same of tendons: stiffness, damping."""

_DRAG = 10.0
"""The same of a fluid's drag."""

_SERVO = 100.0
"""The same of servos' numbers: many are so stiff that a small miss asks for all of their force."""

_FALL = 0.9
"""Of a pseudo-inertia in any direction, the share that one step may take away."""

_CURVED = 1e-6
"""What a number that cannot be negative costs of half its square, besides itself: so that where several do the same,
such as springs of coupled joints, one combination of them is the likeliest."""

_NEVER_NEGATIVE = (ARMATURE, DAMPING, STIFFNESS, FRICTION)


class MechanicalBelief:
    """A belief about the unknowns of a `ForceBalance`.

    Pseudo-inertias `P`, in units of the guess, cost `tr P - log det P`: convex, least at the guess, infinite where they
    are not positive definite, and the same in whatever frame they are written (Lee, Wensing and Park, "Geometric robot
    dynamic identification", T-RO 2020). Numbers that cannot be negative cost their size, all others their square.

    Attributes:
      spread: `(unknowns,)`: how large they are likely to be.
      positive: `(unknowns,)`: which cannot be negative.
    """

    def __init__(self, balance: ForceBalance, like: Tensor) -> None:
        """`like` is any tensor of the precision to compute in."""
        self._balance = balance
        self._masses = balance.masses
        own, positive = like.new_ones(balance.size, balance.own), torch.zeros(balance.size, balance.own).bool()
        for place, size in _LIKELY.items():
            own[:, place : place + 1 if place != GEAR else None] = size
        positive[:, list(_NEVER_NEGATIVE)] = True
        tendons = like.new_tensor(_TENDONS).repeat_interleave(balance.tendons)
        others = torch.cat([tendons, like.new_full((balance.drag,), _DRAG)])
        none, all_of_them = torch.zeros(self._masses).bool(), torch.ones(len(others)).bool()
        servos, of_servos = like.new_full((balance.servos,), _SERVO), torch.zeros(balance.servos).bool()
        of_servos.view(-1, SERVO_NUMBERS)[:, [SERVO_STIFFNESS, SERVO_DAMPING]] = True
        self.spread = torch.cat([like.new_ones(self._masses), others, servos, own.flatten()])
        self.positive = torch.cat([none, all_of_them, of_servos, positive.flatten()])
        self._signed = torch.cat([none, ~all_of_them, ~of_servos, ~positive.flatten()])
        self._basis = balance.split_masses(torch.eye(MASS_UNKNOWNS, dtype=like.dtype).flatten())

    def value(self, unknowns: Tensor) -> float:
        """See `Belief`."""
        scaled, inertia = unknowns / self.spread, self._inertia(unknowns)
        factor, failed = torch.linalg.cholesky_ex(inertia)
        if bool(failed.any()):
            return float("inf")
        logarithms = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum()
        of_masses = inertia.diagonal(dim1=-2, dim2=-1).sum() - logarithms
        squares = scaled[self._signed].square().sum() + _CURVED * scaled[self.positive].square().sum()
        return float(of_masses + scaled[self.positive].sum() + 0.5 * squares)

    def derivatives(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """See `Belief`."""
        inverse = torch.linalg.inv(self._inertia(unknowns))
        curvature = self._signed + _CURVED * self.positive
        slopes = (self.positive + curvature * unknowns / self.spread) / self.spread
        hessian = torch.diag(curvature / self.spread.square())
        identity = torch.eye(4, dtype=inverse.dtype)
        slopes[: self._masses] = torch.einsum("krs,lrs->lk", self._basis, identity - inverse).flatten()
        turned = torch.einsum("lrs,kst,ltu->lkru", inverse, self._basis, inverse)
        blocks = torch.einsum("jru,lkru->ljk", self._basis, turned)
        hessian[: self._masses, : self._masses] = torch.block_diag(*blocks)
        return slopes, hessian

    def reach(self, unknowns: Tensor, step: Tensor) -> float:
        """See `Belief`; no pseudo-inertia falls below a tenth in any direction, as it takes long to come back."""
        factor = torch.linalg.cholesky(self._inertia(unknowns))
        change = torch.linalg.solve_triangular(factor, self._balance.split_masses(step[: self._masses]), upper=False)
        change = torch.linalg.solve_triangular(factor, change.mT, upper=False)
        fall = -float(torch.linalg.eigvalsh(change).min())
        return _FALL / fall if fall > 0 else float("inf")

    def _inertia(self, unknowns: Tensor) -> Tensor:
        more = self._balance.split_masses(unknowns[: self._masses])
        return more + torch.eye(4, dtype=more.dtype)


class AmplitudeBelief:
    """Another belief, and minus the logarithms of amplitudes, each times a count; convex.

    Of linear equations whose errors are those of accelerations, it is what the likelihood has besides their squares.

    Attributes:
      spread, positive: of the other.
    """

    def __init__(self, belief: MechanicalBelief, amplitudes: Tensor, counts: Tensor) -> None:
        """`amplitudes`, `(m, unknowns + 1)`, are `[matrix, right]` of numbers that are positive; `counts` is `(m,)`."""
        self._belief, self._rows, self._right, self._counts = belief, amplitudes[:, :-1], amplitudes[:, -1], counts
        self.spread, self.positive = belief.spread, belief.positive

    def value(self, unknowns: Tensor) -> float:
        """See `Belief`."""
        amplitudes = self._amplitudes(unknowns)
        if not bool((amplitudes > 0).all()):
            return float("inf")
        return self._belief.value(unknowns) - float(self._counts @ amplitudes.log())

    def derivatives(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """See `Belief`."""
        gradient, hessian = self._belief.derivatives(unknowns)
        rows = self._rows / self._amplitudes(unknowns).unsqueeze(-1)
        return gradient - self._counts @ rows, hessian + rows.mT @ (self._counts.unsqueeze(-1) * rows)

    def reach(self, unknowns: Tensor, step: Tensor) -> float:
        """See `Belief`."""
        fall = -float(((self._rows @ step) / self._amplitudes(unknowns)).min())
        own = _FALL / fall if fall > 0 else float("inf")
        return min(own, self._belief.reach(unknowns, step))

    def _amplitudes(self, unknowns: Tensor) -> Tensor:
        return self._rows @ unknowns - self._right
