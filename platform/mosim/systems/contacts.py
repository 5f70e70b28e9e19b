"""Where collision shapes can touch, for a batch of poses at once: signed distances, contact points and normals."""

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mosim.systems.kinematics import Points, Poses, batch_last
from mosim.systems.skeleton import Pair, Shape, Skeleton
from mosim.systems.spatial import buffer, cross_product, index_buffer, rotation_of

_TINY = 1e-12
"""Squared lengths below this, in square metres, are nothing: a sphere's segment, or two segments that cross."""

_PARALLEL = 1e-12
"""Squared sines below this are of parallel segments."""


_ALIGNED = 1e-8
"""And below this MuJoCo makes two contacts of two capsules."""

_SLACK = 1e-3
"""Metres by which bounding spheres are larger than need be, for rounding far from the origin."""


class Gaps(NamedTuple):
    """The space between two shapes at each place where they can touch.

    Attributes:
      distance: `(..., gaps)`, in metres; negative where they overlap.
      position: `(..., gaps, 3)`, in metres: halfway between the surfaces, where MuJoCo puts a contact.
      normal: `(..., gaps, 3)`: the direction that opens the gap for the first shape.
      tangent: `(..., gaps, 3)`: MuJoCo's first direction of friction, not yet at right angles to the normal.
    """

    distance: Tensor
    position: Tensor
    normal: Tensor
    tangent: Tensor


class GapNumbers(NamedTuple):
    """What decides where gaps are, for compiled code: links, of which the world is -1, and numbers of double precision.

    Attributes:
      floor_links: `(floors,)`.
      floors: `(floors, 11)`: the point in its link's frame, the plane's normal, its height along that, the point's
        radius, and a capsule's axis in the link's frame.
      shape_links: `(shapes,)`: of spheres and capsules.
      shapes: `(shapes, 6)`: one end of the segment, and from there to the other, in the link's frame.
      pair_shapes: `(pairs, 2)`: indices of those.
      pairs: `(pairs, 3)`: the radii, and at which distance of middles bounding spheres meet.
    """

    floor_links: Tensor
    floors: Tensor
    shape_links: Tensor
    shapes: Tensor
    pair_shapes: Tensor
    pairs: Tensor


class ContactGaps(nn.Module):
    """Every gap between shapes that MuJoCo lets collide; matches its contacts.

    Ends of capsules, spheres and corners of boxes over planes fixed to the world come first; then pairs of spheres and
    capsules, at their closest points. Other pairs of shapes are not looked at.

    Attributes:
      size: number of gaps.
      first, second: `(gaps,)`: the links of the two shapes; the world's index is the number of links.
      friction: `(gaps,)`: 1 where contacts have friction, else 0.
      floors: how many are gaps over a plane.
      pairs: of which two shapes each gap is.
    """

    first: Tensor
    second: Tensor
    friction: Tensor
    _floor_points: Points
    _ends: Points
    _floor_normal: Tensor
    _floor_height: Tensor
    _floor_radius: Tensor
    _floor_axis: Tensor
    _floor_links: Tensor
    _pair_first: Tensor
    _pair_second: Tensor
    _pair_radii: Tensor
    _pair_reach: Tensor
    _upright: Tensor
    _of_heights: Tensor
    _of_origins: Tensor
    _of_rotations: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        world = len(skeleton.links)
        floor = [place for pair in skeleton.pairs for place in _over_plane(skeleton, pair)]
        self._floor_points = Points([shape.frame for _, shape, _, _ in floor], [offset for _, _, offset, _ in floor])
        normals = [rotation_of(plane.frame.quaternion)[:, 2] for _, _, _, plane in floor]
        heights = [
            normal @ np.array(plane.frame.position) for normal, (_, _, _, plane) in zip(normals, floor, strict=True)
        ]
        buffer(self, "_floor_normal", np.array(normals).reshape(-1, 3))
        buffer(self, "_floor_height", np.array(heights))
        buffer(self, "_floor_radius", np.array([_radius(shape) for _, shape, _, _ in floor]))
        axes = [rotation_of(shape.frame.quaternion)[:, 2:] * (shape.kind == "capsule") for _, shape, _, _ in floor]
        buffer(self, "_floor_axis", np.array(axes).reshape(-1, 3, 1))
        index_buffer(self, "_floor_links", [shape.frame.link % (world + 1) for _, shape, _, _ in floor])

        rounds = [index for index, shape in enumerate(skeleton.shapes) if shape.kind in ("sphere", "capsule")]
        pairs = [pair for pair in skeleton.pairs if {pair.first, pair.second} <= set(rounds)]
        shapes = [skeleton.shapes[index] for index in rounds]
        self._rounds = len(shapes)
        self._ends = Points(
            [shape.frame for shape in shapes] * 2,
            [(0.0, 0.0, sign * shape.size[1] * (shape.kind == "capsule")) for sign in (-1, 1) for shape in shapes],
        )
        index_buffer(self, "_pair_first", [rounds.index(pair.first) for pair in pairs])
        index_buffer(self, "_pair_second", [rounds.index(pair.second) for pair in pairs])
        touching = [(skeleton.shapes[pair.first], skeleton.shapes[pair.second]) for pair in pairs]
        radii = [[first.size[0], second.size[0]] for first, second in touching]
        buffer(self, "_pair_radii", np.array(radii).reshape(-1, 2))

        reach = [_reach(first) + _reach(second) + _SLACK for first, second in touching]
        buffer(self, "_pair_reach", np.array(reach))

        # Products of matrices give points' heights over planes, and one coordinate of shapes' middles and segments.
        upright, of_heights = np.zeros((len(floor), 3, world + 1)), np.zeros((len(floor), 3, 3, world + 1))
        for line, (normal, (_, shape, offset, _)) in enumerate(zip(normals, floor, strict=True)):
            upright[line, :, shape.frame.link] = normal
            of_heights[line, :, :, shape.frame.link] = np.outer(normal, _place(shape, offset))
        buffer(self, "_upright", upright.reshape(len(floor), 3 * world + 3))
        buffer(self, "_of_heights", of_heights.reshape(len(floor), 9 * world + 9))
        of_origins, of_rotations = np.zeros((2, len(shapes), world + 1)), np.zeros((2, len(shapes), 3, world + 1))
        for line, shape in enumerate(shapes):
            length = 2 * shape.size[1] * (shape.kind == "capsule")
            of_origins[0, line, shape.frame.link] = 1
            of_rotations[0, line, :, shape.frame.link] = shape.frame.position
            of_rotations[1, line, :, shape.frame.link] = length * rotation_of(shape.frame.quaternion)[:, 2]
        buffer(self, "_of_origins", of_origins.reshape(2 * len(shapes), world + 1))
        buffer(self, "_of_rotations", of_rotations.reshape(2 * len(shapes), 3 * world + 3))

        ends = [[shape.frame.link, plane.frame.link] for _, shape, _, plane in floor]
        ends += [[first.frame.link, second.frame.link] for first, second in touching]
        self.size, self.floors = len(ends), len(floor)
        self.pairs = (*(pair for pair, _, _, _ in floor), *pairs)
        buffer(self, "friction", np.array([pair.condim > 1 for pair in self.pairs]))
        index_buffer(self, "first", [first % (world + 1) for first, _ in ends])
        index_buffer(self, "second", [second % (world + 1) for _, second in ends])

    def forward(self, poses: Poses) -> Gaps:
        """All gaps of `poses`."""
        parts = [self._over_floor(poses)] if self.floors else []
        if self.size > self.floors:
            parts.append(self._between(poses))
        if len(parts) == 1:
            return parts[0]
        return Gaps(
            *(torch.cat(pair, dim=-1 if index == 0 else -2) for index, pair in enumerate(zip(*parts, strict=True)))
        )

    def numbers(self) -> GapNumbers:
        """What all of it is computed from."""
        points, ends = self._floor_points.local.squeeze(-1), self._ends.local.squeeze(-1)
        levels = torch.stack([self._floor_height, self._floor_radius], dim=-1)
        start, end = ends[: self._rounds], ends[self._rounds :]
        return GapNumbers(
            self._floor_points.links,
            torch.cat([points, self._floor_normal, levels, self._floor_axis.squeeze(-1)], dim=-1).double(),
            self._ends.links[: self._rounds],
            torch.cat([start, end - start], dim=-1).double(),
            torch.stack([self._pair_first, self._pair_second], dim=-1),
            torch.cat([self._pair_radii, self._pair_reach.unsqueeze(-1)], dim=-1).double(),
        )

    @torch.no_grad()
    def closed(self, poses: Poses) -> tuple[Tensor, Tensor]:
        """Which gaps are closed, of `poses` of one leading dimension.

        Returns:
          For each closed gap its index in the batch and among the gaps, both `(closed,)`; gaps over planes come first.
        """
        sample, gap = [], []
        position, rotation = batch_last(poses)
        if self.floors:
            height = torch.addmm(self._upright @ position.flatten(0, 1), self._of_heights, rotation.flatten(0, 2))
            columns, rows = (height < (self._floor_height + self._floor_radius).unsqueeze(-1)).nonzero().unbind(-1)
            sample.append(rows)
            gap.append(columns)
        if self.size > self.floors:
            lines = self._of_origins @ position + self._of_rotations @ rotation.flatten(1, 2)
            rows, columns = self._shut(*lines.split(self._rounds, dim=1))
            sample.append(rows)
            gap.append(columns + self.floors)
        return torch.cat(sample), torch.cat(gap)

    def touching(self, poses: Poses) -> tuple[Tensor, Tensor, Gaps]:
        """Every contact, of `poses` of one leading dimension: indices as `closed` gives them, and where it is, `(n,)`.

        Two capsules side by side touch in up to two places, which have the same indices.
        """
        sample, gap = self.closed(poses)
        gaps = self.at(poses, sample, gap)
        pairs = (gap >= self.floors).nonzero().squeeze(-1)
        segments = self._segments_at(poses, sample[pairs], gap[pairs] - self.floors)
        some = _aligned(segments).nonzero().squeeze(-1)
        if not len(some):
            return sample, gap, gaps
        start_a, along_a, start_b, along_b = (part[some] for part in segments)
        among, ends = _at_ends(start_a, along_a, start_b, along_b, self._pair_radii[gap[pairs[some]] - self.floors])
        doubled = pairs[some][among]
        rest = torch.ones_like(sample, dtype=torch.bool)
        rest[doubled] = False
        joined = Gaps(*(torch.cat([part[rest], more]) for part, more in zip(gaps, ends, strict=True)))
        return torch.cat([sample[rest], sample[doubled]]), torch.cat([gap[rest], gap[doubled]]), joined

    def at(self, poses: Poses, sample: Tensor, gap: Tensor) -> Gaps:
        """Single gaps, `(n, ...)`, of a batch of one leading dimension; `sample` and `gap` as `closed` gives them."""
        floors = int((gap < self.floors).sum())
        parts = []
        if floors:
            parts.append(self._floors_at(poses, sample[:floors], gap[:floors]))
        if floors < len(gap) or not floors:
            parts.append(self._pairs_at(poses, sample[floors:], gap[floors:] - self.floors))
        return parts[0] if len(parts) == 1 else Gaps(*(torch.cat(pair) for pair in zip(*parts, strict=True)))

    def _shut(self, middle: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs that overlap: their indices in the batch and among the pairs.

        Args:
          middle: of spheres and capsules, `(3, shapes, batch)`.
          along: from one end of their segments to the other, `(3, shapes, batch)`.
        """
        shapes = (self._pair_first, self._pair_second)
        # Whose bounding spheres meet; one coordinate at a time stays in a processor's cache.
        x, y, z = (torch.sub(*(part.index_select(0, shape) for shape in shapes)).square_() for part in middle)
        pair, sample = (x + y + z < self._pair_reach.square().unsqueeze(-1)).nonzero().unbind(-1)
        start, batch = middle - 0.5 * along, middle.shape[-1]
        places = [shape.index_select(0, pair) * batch + sample for shape in shapes]
        segments = [part.flatten(1).index_select(1, place) for place in places for part in (start, along)]
        distance = _apart(*segments, dim=0)[1].square().sum(0)
        shut = (distance < self._pair_radii.sum(-1).square().index_select(0, pair)).nonzero().squeeze(-1)
        return sample[shut], pair[shut]

    def _over_floor(self, poses: Poses) -> Gaps:
        axis = (poses.rotation.index_select(-3, self._floor_links) @ self._floor_axis).squeeze(-1)
        return _floor_gaps(self._floor_points(poses), axis, self._floor_normal, self._floor_height, self._floor_radius)

    def _floors_at(self, poses: Poses, sample: Tensor, gap: Tensor) -> Gaps:
        rotation = poses.rotation[sample, self._floor_links[gap]]
        axis = (rotation @ self._floor_axis[gap]).squeeze(-1)
        return _floor_gaps(
            self._floor_points.at(poses, sample, gap),
            axis,
            self._floor_normal[gap],
            self._floor_height[gap],
            self._floor_radius[gap],
        )

    def _between(self, poses: Poses) -> Gaps:
        start, end = self._ends(poses).split(self._rounds, dim=-2)
        along = end - start
        first, second = self._pair_first, self._pair_second
        return _pair_gaps(
            start.index_select(-2, first),
            along.index_select(-2, first),
            start.index_select(-2, second),
            along.index_select(-2, second),
            self._pair_radii,
        )

    def _pairs_at(self, poses: Poses, sample: Tensor, pair: Tensor) -> Gaps:
        return _pair_gaps(*self._segments_at(poses, sample, pair), self._pair_radii[pair])

    def _segments_at(self, poses: Poses, sample: Tensor, pair: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the first shape one end and the way to the other, then of the second, `(n, 3)` each."""
        first, second = self._pair_first[pair], self._pair_second[pair]
        start_a, start_b = (self._ends.at(poses, sample, shape) for shape in (first, second))
        end_a, end_b = (self._ends.at(poses, sample, shape + self._rounds) for shape in (first, second))
        return start_a, end_a - start_a, start_b, end_b - start_b


def _floor_gaps(end: Tensor, axis: Tensor, normal: Tensor, height: Tensor, radius: Tensor) -> Gaps:
    distance = (end * normal).sum(-1) - height - radius
    position = end - (radius + 0.5 * distance).unsqueeze(-1) * normal
    return Gaps(distance, position, normal.expand_as(position), axis)  # MuJoCo turns a capsule's friction to its axis.


def _pair_gaps(start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, radii: Tensor) -> Gaps:
    on_a, apart = _apart(start_a, along_a, start_b, along_b)
    return _round_gaps(on_a, apart, torch.linalg.cross(along_b, along_a), radii)


def _round_gaps(on_a: Tensor, apart: Tensor, turned: Tensor, radii: Tensor) -> Gaps:
    """Gaps around points of two segments.

    Args:
      on_a: on the first, `(..., 3)`.
      apart: to it from the point on the second. Where segments cross, there is no such direction: MuJoCo then takes the
        one at right angles to both.
      turned: that direction, of any length.
      radii: `(..., 2)`.
    """
    square = apart.square().sum(-1, keepdim=True)
    crossing = square < _TINY
    length = torch.where(crossing, 1.0, square).sqrt()
    area = turned.square().sum(-1, keepdim=True)
    along_x = torch.tensor([1.0, 0.0, 0.0]).to(turned)
    across = torch.where(area > _TINY**2, turned / area.clamp_min(_TINY**2).sqrt(), along_x)
    normal = torch.where(crossing, across, apart / length)
    distance = torch.where(crossing, 0.0, length).squeeze(-1) - radii.sum(-1)
    position = on_a - (radii[..., 0] + 0.5 * distance).unsqueeze(-1) * normal
    return Gaps(distance, position, normal, torch.zeros_like(normal))


def _aligned(segments: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Where two capsules lie side by side, `(n,)`."""
    _, along_a, _, along_b = segments
    aa, bb = (along.square().sum(-1) for along in (along_a, along_b))
    squared = torch.linalg.cross(along_a, along_b).square().sum(-1)
    return (aa > _TINY) & (bb > _TINY) & (squared < _ALIGNED * aa * bb)


def _at_ends(start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, radii: Tensor) -> tuple[Tensor, Gaps]:
    """Where capsules side by side touch: MuJoCo looks where the second's ends come closest to the first.

    Returns:
      Of each place, the index of its pair of segments, `(n,)`, and the gap there.
    """
    between = start_a - start_b
    aa, bb, ab, ad, bd = (
        (left * right).sum(-1, keepdim=True)
        for left, right in (
            (along_a, along_a), (along_b, along_b), (along_a, along_b), (along_a, between), (along_b, between)
        )
    )  # fmt: skip
    end = torch.tensor([0.0, 1.0]).to(ab)
    share_a = ((ab * end - ad) / aa).clamp(0, 1)
    share_b = ((ab * share_a + bd) / bb).clamp(0, 1)
    share_a, share_b = share_a.unsqueeze(-1), share_b.unsqueeze(-1)
    on_a = start_a.unsqueeze(1) + share_a * along_a.unsqueeze(1)
    apart = on_a - start_b.unsqueeze(1) - share_b * along_b.unsqueeze(1)
    turned = torch.linalg.cross(along_b, along_a).unsqueeze(1).expand_as(apart)
    gaps = _round_gaps(on_a, apart, turned, radii.unsqueeze(1).expand(-1, on_a.shape[1], -1))
    which, place = (gaps.distance < 0).nonzero().unbind(-1)
    return which, Gaps(*(part[which, place] for part in gaps))


def contact_frames(normal: Tensor, tangent: Tensor) -> Tensor:
    """Normal and two directions of friction as rows, `(..., 3, 3)`; as MuJoCo's `mju_makeFrame`."""
    upright = torch.tensor([0.0, 1.0, 0.0], dtype=normal.dtype, device=normal.device)
    sideways = torch.tensor([0.0, 0.0, 1.0], dtype=normal.dtype, device=normal.device)
    default = torch.where(normal[..., 1:2].abs() < 0.5, upright, sideways)
    given = tangent.square().sum(-1, keepdim=True) > 0.25
    tangent = torch.where(given, tangent, default)
    tangent = tangent - (tangent * normal).sum(-1, keepdim=True) * normal
    upended = tangent.square().sum(-1, keepdim=True) < _TINY  # A capsule that stands on the plane.
    fallback = default - (default * normal).sum(-1, keepdim=True) * normal
    first = nn.functional.normalize(torch.where(upended, fallback, tangent), dim=-1)
    return torch.stack([normal, first, torch.linalg.cross(normal, first)], dim=-2)


def _over_plane(skeleton: Skeleton, pair: Pair) -> list[tuple[Pair, Shape, tuple[float, float, float], Shape]]:
    shapes = (skeleton.shapes[pair.first], skeleton.shapes[pair.second])
    plane, shape = sorted(shapes, key=lambda shape: shape.kind != "plane")
    if plane.kind != "plane" or plane.frame.link >= 0 or shape.kind == "plane":
        return []
    x, y, z = shape.size
    if shape.kind == "capsule":
        offsets = [(0.0, 0.0, y), (0.0, 0.0, -y)]
    elif shape.kind == "box":
        offsets = [(a * x, b * y, c * z) for a, b, c in itertools.product((-1, 1), repeat=3)]
    else:
        offsets = [(0.0, 0.0, 0.0)]
    return [(pair, shape, offset, plane) for offset in offsets]


def _place(shape: Shape, offset: tuple[float, float, float]) -> np.ndarray:
    """Where in its link a shape has what is `offset` from its middle, in metres."""
    return np.array(shape.frame.position) + rotation_of(shape.frame.quaternion) @ np.array(offset)


def _reach(shape: Shape) -> float:
    """The radius of a sphere's or capsule's bounding sphere."""
    return shape.size[0] + shape.size[1] * (shape.kind == "capsule")


def _radius(shape: Shape) -> float:
    return 0.0 if shape.kind == "box" else shape.size[0]


def _apart(start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """The first segment's point closest to the second, and from the second's closest point to it."""
    share_a, share_b = _closest(start_a, along_a, start_b, along_b, dim)
    on_a = start_a + share_a * along_a
    return on_a, on_a - start_b - share_b * along_b


def _closest(start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Where two segments come closest, as shares of them (Ericson, Real-Time Collision Detection, 5.1.9).

    Coordinates are those of dimension `dim`, which the shares keep at size 1.
    """
    between = start_a - start_b
    aa, bb, ab, ad, bd = (
        (left * right).sum(dim, keepdim=True)
        for left, right in (
            (along_a, along_a), (along_b, along_b), (along_a, along_b), (along_a, between), (along_b, between)
        )
    )  # fmt: skip
    # Cross products, since differences of products cancel where the segments are almost parallel.
    across = cross_product(along_a, along_b, dim)
    squared = across.square().sum(dim, keepdim=True)
    apart = squared > _PARALLEL * aa * bb
    turned = (across * cross_product(between, along_b, dim)).sum(dim, keepdim=True)
    share_a = torch.where(apart, -turned / torch.where(apart, squared, 1.0), 0.5).clamp(0, 1)
    share_b = torch.where(bb > _TINY, ((ab * share_a + bd) / bb.clamp_min(_TINY)).clamp(0, 1), 0.0)
    share_a = torch.where(aa > _TINY, ((ab * share_b - ad) / aa.clamp_min(_TINY)).clamp(0, 1), 0.0)
    return share_a, share_b
