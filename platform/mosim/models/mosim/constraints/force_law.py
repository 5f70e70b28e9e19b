"""How forces along rows of the constraint's Jacobian follow from what these miss: limits, friction, elliptic cones.

Every force is the projection of `-D gap` onto the forces that a constraint can make: those that push, of a contact or
limit; all, of an equality; those up to a strength, of dry friction; and a cone, of a contact's normal and its friction
together. With the rows of a contact scaled so that all have one stiffness, the elliptic cones of MuJoCo are such
projections too (documentation, "Computation", "Constraint solver": the primal cost of elliptic cones).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ONE_SIDED = -1.0
"""Stands for the strength of a row that only pushes."""

CONE = 3
"""Rows of a cone: the normal and two directions of friction. Cones come first among the rows of a state."""

_TINY = 1e-30
"""Stands for no friction at all where that is divided by."""


class Slope(NamedTuple):
    """The forces at a gap are `held - turn^T diag(stiffness) turn gap`; of all gaps nearby, but for rounding and cones.

    Attributes:
      stiffness: `(..., rows)`: zero where there is no force, or one that does not depend on the gap.
      share: `(..., rows)`: of the law's stiffness.
      held: `(..., rows)`: forces at their strength; None where no row has one.
      turn: `(..., cones, CONE, CONE)`, of the first rows; None where there are no cones.
    """

    stiffness: Tensor
    share: Tensor
    held: Tensor | None
    turn: Tensor | None

    def acts(self) -> Tensor:
        """Where there is any force, `(...)`."""
        acts = (self.share > 0).any(-1)
        return acts if self.held is None else acts | (self.held != 0).any(-1)

    def differs(self, other: "Slope") -> Tensor:
        """Where a step by the one is no step by the other, `(...)`."""
        least = torch.finfo(self.share.dtype).eps ** 0.5 if self.turn is not None else 0.0
        differs = ((self.share - other.share).abs() > least).any(-1)
        if self.held is not None and other.held is not None:
            differs |= (self.held != other.held).any(-1)
        if self.turn is not None and other.turn is not None:
            differs |= ((self.turn - other.turn).abs() > least).flatten(-3).any(-1)
        return differs

    def turned(self, rows: Tensor) -> Tensor:
        """`turn` times numbers of rows, `(..., rows, n)`."""
        return rows if self.turn is None else _first_rows_by(self.turn, rows)

    def turned_back(self, rows: Tensor) -> Tensor:
        """`turn^T` times numbers of rows, `(..., rows, n)`."""
        return rows if self.turn is None else _first_rows_by(self.turn.mT, rows)


class ForceLaw(NamedTuple):
    """What the forces of rows depend on, besides their gaps.

    Attributes:
      stiffness: `(..., rows)`: `D`, not negative; the same in all rows of a cone.
      strength: `(..., rows)`: the largest force in either direction, infinite of an equality; `ONE_SIDED` where a row
        only pushes, and in cones. None where all do.
      cone: `(..., rows)`: at the first row of each cone, by how much friction may be larger than the normal force; else
        zero. None where there are no cones.
    """

    stiffness: Tensor
    strength: Tensor | None = None
    cone: Tensor | None = None

    def forces(self, gap: Tensor) -> Tensor:
        """The forces of rows whose accelerations miss what these want by `gap`, `(..., rows)`."""
        pull = -self.stiffness * gap
        forces = pull.clamp_min(0.0)
        if self.strength is not None:
            held = torch.minimum(torch.maximum(pull, -self.strength), self.strength)
            forces = torch.where(self.strength < 0, forces, held)
        if self.cone is None:
            return forces
        cones = _Cones.of(pull, self.cone)
        return _joined(cones.projected(), forces, cones.here)

    def slope(self, gap: Tensor) -> Slope:
        """How forces change with `gap`, `(..., rows)`, which counts as a constant."""
        pull = (-self.stiffness * gap).detach()
        share, held, turn = (pull > 0).to(pull), None, None
        if self.strength is not None:
            spent = (pull.abs() >= self.strength) & (self.strength >= 0)
            held = torch.where(spent, self.strength, 0.0) * pull.sign()
            share = torch.where(self.strength < 0, share, (pull != 0) & ~spent)
        if self.cone is not None:
            cones = _Cones.of(pull, self.cone)
            of_cones, turn = cones.slope()
            share = _joined(of_cones, share, cones.here)
        return Slope(self.stiffness * share, share, held, turn)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "ForceLaw":
        """The same law with its numbers replaced."""
        others = (None if part is None else function(part) for part in self[1:])
        return ForceLaw(function(self.stiffness), *others)


def joined(laws: Sequence[ForceLaw], join: Callable[[list[Tensor]], Tensor]) -> ForceLaw:
    """One law of all rows, given how numbers of one kind are put together."""
    strengths = [torch.full_like(law.stiffness, ONE_SIDED) if law.strength is None else law.strength for law in laws]
    cones = [torch.zeros_like(law.stiffness) if law.cone is None else law.cone for law in laws]
    return ForceLaw(
        join([law.stiffness for law in laws]),
        None if all(law.strength is None for law in laws) else join(strengths),
        None if all(law.cone is None for law in laws) else join(cones),
    )


class _Cones(NamedTuple):
    """What the rows of cones would pull if nothing kept them: `(..., cones)`, of friction `(..., cones, CONE - 1)`.

    Attributes:
      here: whether there is a cone, or rows of something else.
      friction: by how much friction may be larger than the normal force.
      normal, sideways: pulls.
      across: the length of `sideways`.
    """

    here: Tensor
    friction: Tensor
    normal: Tensor
    sideways: Tensor
    across: Tensor

    @classmethod
    def of(cls, pull: Tensor, cone: Tensor) -> "_Cones":
        size = pull.shape[-1] // CONE * CONE
        friction = cone[..., :size:CONE]
        each = pull[..., :size].unflatten(-1, (size // CONE, CONE))
        across = torch.linalg.vector_norm(each[..., 1:], dim=-1)
        return cls(friction > 0, friction, each[..., 0], each[..., 1:], across)

    @property
    def sticks(self) -> Tensor:
        """Where the pull is within the cone."""
        return self.across <= self.friction * self.normal

    @property
    def slides(self) -> Tensor:
        """Where it is outside, and the nearest force of the cone is not zero."""
        return ~self.sticks & (self.friction * self.across > -self.normal)

    def projected(self) -> Tensor:
        """The forces, `(..., cones, CONE)`."""
        normal = (self.normal + self.friction * self.across) / (1 + self.friction.square())
        along = self.sideways * (self.friction * normal / self.across.clamp_min(_TINY)).unsqueeze(-1)
        slid = torch.cat([normal.unsqueeze(-1), along], dim=-1)
        whole = torch.cat([self.normal.unsqueeze(-1), self.sideways], dim=-1)
        forces = torch.where(self.slides.unsqueeze(-1), slid, 0.0)
        return torch.where(self.sticks.unsqueeze(-1), whole, forces)

    def slope(self) -> tuple[Tensor, Tensor]:
        """Shares of the stiffness, `(..., cones, CONE)`, along the axes that turn rows, `(..., cones, CONE, CONE)`.

        A contact that slides gives way along the cone's edge, and by turning around the cone.
        """
        square = 1 + self.friction.square()
        length = self.across.clamp_min(_TINY)
        turning = self.friction * (self.friction * self.across + self.normal) / (square * length)
        none, slides = torch.zeros_like(length), self.slides
        sliding = torch.stack([1 / square, turning.clamp_min(0.0), none], dim=-1)
        share = torch.where(slides.unsqueeze(-1), sliding, self.sticks.to(length).unsqueeze(-1))
        # Rows miss what they want in the direction against which they pull.
        x, y = -self.sideways.unbind(-1)[0] / length, -self.sideways.unbind(-1)[1] / length
        axes = [1 + none, -self.friction * x, -self.friction * y, none, -y, x, none, none, none]
        turned = torch.stack(axes, dim=-1).unflatten(-1, (CONE, CONE))
        turn = torch.where((slides & self.here)[..., None, None], turned, torch.eye(CONE).to(turned))
        return share, turn


def _joined(first: Tensor, rows: Tensor, here: Tensor) -> Tensor:
    """Numbers of rows, `(..., rows)`, of which those of cones, `(..., cones, CONE)`, are others."""
    size = first.shape[-2] * CONE
    others = rows[..., :size].unflatten(-1, (first.shape[-2], CONE))
    joined = torch.where(here.unsqueeze(-1), first, others).flatten(-2)
    return torch.cat([joined, rows[..., size:]], dim=-1)


def _first_rows_by(turn: Tensor, rows: Tensor) -> Tensor:
    size = turn.shape[-3] * CONE
    first = turn @ rows[..., :size, :].unflatten(-2, (turn.shape[-3], CONE))
    return torch.cat([first.flatten(-3, -2), rows[..., size:, :]], dim=-2)
