"""Closed contacts, and how a robot's motion opens them: by torch's operations, or by compiled C (constraint_motion.c).

C is for a CPU, in single precision, where no gradient is asked for of the states: in rollouts, and in training from
states of the data. It takes a fraction of the time. Contacts of shapes without a closed form, which MuJoCo finds, are
added to both.
"""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mosim.geometry import (
    ContactGaps,
    Gaps,
    Jacobians,
    Kinematics,
    Poses,
    SolidContacts,
    buffer,
    contact_frames,
    index_buffer,
)
from mosim.models.mosim import compiled
from mosim.models.mosim.constraints.rows import rank_within
from mosim.models.mosim.tree.drawing import Links, drawing_of, links_of
from mosim.robots import SystemFacts

EXTENSION = "mosim.models.mosim._constraint_motion"
"""The shared library that is built when mosim is installed, where there is a C compiler."""

_LANES = 8
"""States that are worked on at a time."""

_PROBED = 64
"""Random poses in which a robot's directions of friction are looked at."""

_ALIGNED = 1e-5
"""Cosines below this are of directions at right angles."""

_CROSSING = 1 - 1e-5
"""Cosine to the direction in which a planar robot does not move above which a normal is that of crossing segments."""

_NUMBERS = ("floor_links", "floors", "shape_links", "shapes", "pair_shapes", "pairs")


class ClosedContacts(NamedTuple):
    """The closed contacts of a batch of states, in any order.

    Attributes:
      sample: `(n,)`: the index in the batch.
      which: `(n,)`: the index among the places where shapes can touch.
      distance: `(n,)`, in metres; negative.
      jacobian: `(n, directions, nv)`: of the velocity of the first shape against the second, along the normal and then
        the directions of friction, by velocities in their unit.
      speed: `(n, directions)`: that velocity, in metres a second.
    """

    sample: Tensor
    which: Tensor
    distance: Tensor
    jacobian: Tensor
    speed: Tensor


class ContactMotion(nn.Module):
    """The deepest closed contacts of each state.

    Attributes:
      size: at how many places shapes can touch: those of `ContactGaps`, then those of `SolidContacts`.
      pairs: of which two shapes each is.
      first, second: `(size,)`: the links of the two shapes; the world's index is the number of links.
      friction: `(size,)`: 1 where contacts have friction, else 0.
      planar: whether there is a direction in which neither the robot moves nor any contact pushes. Then there is one
        direction of friction, else there are two; as there are in elliptic cones always.
    """

    first: Tensor
    second: Tensor
    friction: Tensor
    _unit: Tensor
    _moved: Tensor
    _across: Tensor
    _layout: Tensor
    _drawing: Tensor
    _floors: Tensor
    _shapes: Tensor
    _pairs: Tensor

    def __init__(self, facts: SystemFacts, unit: Tensor, most: int) -> None:
        """`unit`, `(nv,)`, is of velocities in the Jacobian; `most` is how many contacts of a state count."""
        super().__init__()
        self._kinematics, self._jacobians = Kinematics(facts.skeleton), Jacobians(facts.skeleton)
        gaps, solids = self._gaps, self._solids = ContactGaps(facts.skeleton), SolidContacts(facts.skeleton)
        self._most = most
        self.size, self.pairs = gaps.size + solids.size, (*gaps.pairs, *solids.pairs)
        for name in ("first", "second", "friction"):
            of_both = torch.cat([getattr(gaps, name), getattr(solids, name)])
            self.register_buffer(name, of_both, persistent=False)
        moves = self._jacobians.moves
        moved = unit * (moves[self.first] - moves[self.second])
        self.register_buffer("_unit", unit.clone(), persistent=False)
        self.register_buffer("_moved", moved.unsqueeze(1), persistent=False)
        across = None if facts.skeleton.elliptic else self._planar()
        self.planar = across is not None
        self.register_buffer("_across", torch.zeros(3) if across is None else across, persistent=False)
        drawing = drawing_of(facts.skeleton, ())
        index_buffer(self, "_layout", drawing.layout.tolist())
        buffer(self, "_drawing", drawing.numbers, torch.float64)
        for name, numbers in zip(_NUMBERS, self._gaps.numbers(), strict=True):
            self.register_buffer(f"_{name}", numbers, persistent=False)

    def forward(self, qpos: Tensor, qvel: Tensor) -> ClosedContacts:
        """The closed contacts at `qpos`, `(batch, nq)`, and `qvel`, `(batch, nv)`."""
        if not takes(qpos, qvel):
            return self._in_torch(qpos, qvel)
        closed = self._compiled(qpos, qvel)
        if not self._solids.size:
            return closed
        poses = self._kinematics.poses(qpos)
        closed = ClosedContacts(
            *map(torch.cat, zip(closed, self._opening(poses, qvel, *self._solid(poses)), strict=True))
        )
        deepest = self._deepest(closed.sample, closed.distance, len(qpos))
        return closed if deepest is None else ClosedContacts(*(part[deepest] for part in closed))

    def _compiled(self, qpos: Tensor, qvel: Tensor) -> ClosedContacts:
        links, kept = links_of(qpos, qvel, self._layout, self._drawing)
        numbers: list[Tensor] = [getattr(self, f"_{name}") for name in _NUMBERS]
        numbers = [part if part.dtype == torch.long else part.double() for part in numbers]
        numbers += [self._across.double(), self._unit.double()]
        sizes = (len(self._floors), len(self._shapes), len(self._pairs), self._most, self.planar)
        drawn = _Drawn(links, *sizes, *map(compiled.address, numbers))
        parts = [self._room(last - first, qvel) for _, first, last in compiled.parts(len(qpos), _LANES)]
        compiled.run(EXTENSION, "contacts", drawn, len(qpos), _LANES, lambda part: parts[part])
        del kept
        found = [
            ClosedContacts(which[0, : int(count)], which[1, : int(count)], *(part[: int(count)] for part in rest))
            for count, which, *rest in parts
        ]
        return (
            found[0] if len(found) == 1 else ClosedContacts(*(torch.cat(fields) for fields in zip(*found, strict=True)))
        )

    def _room(self, states: int, qvel: Tensor) -> tuple[Tensor, ...]:
        """What a part of the states is written to: how many contacts there are, then as `ClosedContacts`."""
        most, size, directions = states * self._most, qvel.shape[-1], 2 if self.planar else 3
        rest = (qvel.new_empty(most, *shape) for shape in ((), (directions, size), (directions,)))
        return self._layout.new_zeros(1), self._layout.new_empty(2, most), *rest

    def _in_torch(self, qpos: Tensor, qvel: Tensor) -> ClosedContacts:
        poses = self._kinematics.poses(qpos)
        # Most states of a batch close few gaps, or none, so only closed ones are worked out.
        sample, which, gaps = self._gaps.touching(poses)
        if self._solids.size:
            more, others, solid = self._solid(poses)
            sample, which = torch.cat([sample, more]), torch.cat([which, others])
            gaps = Gaps(*map(torch.cat, zip(gaps, solid, strict=True)))
        deepest = self._deepest(sample, gaps.distance, len(qpos))
        if deepest is not None:
            sample, which, gaps = sample[deepest], which[deepest], Gaps(*(part[deepest] for part in gaps))
        return self._opening(poses, qvel, sample, which, gaps)

    def _solid(self, poses: Poses) -> tuple[Tensor, Tensor, Gaps]:
        """As `ContactGaps.touching`, of shapes without a closed form."""
        sample, pair, gaps = self._solids.touching(poses)
        return sample, pair + self._gaps.size, gaps

    def _opening(self, poses: Poses, qvel: Tensor, sample: Tensor, which: Tensor, gaps: Gaps) -> ClosedContacts:
        """How motion opens contacts at `poses`."""
        directions = contact_frames(gaps.normal, gaps.tangent)
        if self.planar:
            # Where segments cross, the normal is the direction in which nothing moves, and both directions of friction
            # count: two contacts stand for them.
            crossing = ((gaps.normal * self._across).sum(-1).abs() > _CROSSING).nonzero().squeeze(-1)
            places = torch.cat([torch.arange(len(sample), device=sample.device), crossing])
            sideways = torch.linalg.cross(self._across.expand_as(gaps.normal), gaps.normal)
            sideways = sideways.index_copy(0, crossing, directions[crossing, 1])
            sideways = torch.cat([sideways, directions[crossing, 2]])
            sample, which, gaps = sample[places], which[places], Gaps(*(part[places] for part in gaps))
            directions = torch.stack([gaps.normal, sideways], dim=-2)
        moments = torch.linalg.cross(gaps.position.unsqueeze(-2).expand_as(directions), directions)
        screws = self._jacobians.screws(poses).index_select(0, sample)
        jacobian = (torch.cat([moments, directions], dim=-1) @ screws) * self._moved.index_select(0, which)
        speed = jacobian @ (qvel / self._unit).index_select(0, sample).unsqueeze(-1)
        return ClosedContacts(sample, which, gaps.distance, jacobian, speed.squeeze(-1))

    def _planar(self) -> Tensor | None:
        """The direction in which neither the robot moves nor any contact pushes; None where there is no such."""
        still = self._jacobians.still_direction(self._kinematics)
        if still is None or self._solids.size:  # Where their contacts push, few poses do not tell.
            return None
        random = torch.Generator().manual_seed(0)
        gaps = self._gaps(
            self._kinematics.poses(torch.randn(_PROBED, len(self._jacobians.moves) - 1, generator=random))
        )
        cosines = (contact_frames(gaps.normal, gaps.tangent) @ still).abs()
        crossing = cosines[..., 0] > _CROSSING
        aligned = torch.maximum(cosines[..., 0], cosines[..., 1:].amin(-1)).masked_fill(crossing, 0.0).amax() < _ALIGNED
        return still if aligned else None

    def _deepest(self, sample: Tensor, distance: Tensor, batch: int) -> Tensor | None:
        """Which contacts are among the deepest of their state; None if all are."""
        counts = torch.bincount(sample, minlength=batch)
        if not len(sample) or counts.max() <= self._most:
            return None
        by_depth = distance.detach().argsort()
        rank = torch.empty_like(sample)
        rank[by_depth] = rank_within(sample[by_depth], counts)
        return rank < self._most


def takes(qpos: Tensor, qvel: Tensor) -> bool:
    """Whether the compiled code is there, and is for such states. Where it could not be built, this warns once."""
    learns = torch.is_grad_enabled() and (qpos.requires_grad or qvel.requires_grad)
    return (
        not learns
        and qpos.is_cpu
        and qpos.dtype == qvel.dtype == torch.float32
        and compiled.library(EXTENSION) is not None
    )


class _Drawn(ctypes.Structure):
    """`Drawn` of constraint_motion.c."""

    _fields_ = (
        ("of", Links),
        *((name, ctypes.c_int64) for name in ("floors", "shapes", "pairs", "most", "planar")),
        *((name, ctypes.c_void_p) for name in (*(f"{name}_" for name in _NUMBERS), "across", "unit")),
    )
