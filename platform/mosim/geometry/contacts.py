"""Where collision shapes can touch, for a batch of poses at once: signed distances, contact points and normals."""

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.gaps import Gaps, aligned, closest_points, floor_gaps, gaps_at_ends, lowest_points, segment_gaps
from mosim.geometry.kinematics import Points, Poses, batch_last
from mosim.geometry.skeleton import Pair, Shape, Skeleton
from mosim.geometry.spatial import buffer, index_buffer, rotation_of

_ROUND = ("sphere", "capsule")
"""Shapes of which pairs are looked at."""

_SLACK = 1e-3
"""Metres by which bounding spheres are larger than need be, for rounding far from the origin."""


class GapNumbers(NamedTuple):
    """What decides where gaps are, for compiled code: links, of which the world is -1, and numbers of double precision.

    Attributes:
      floor_links: `(floors,)`.
      floors: `(floors, 20)`: the point in its link's frame, the plane's normal, its height along that, the point's
        radius, a capsule's axis in the link's frame, and an ellipsoid's three semi-axes there.
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
    """Every gap between shapes that MuJoCo lets collide; matches its contacts, distances less their margin.

    Ends of capsules, spheres, corners of boxes and ellipsoids over planes fixed to the world come first; then pairs of
    spheres and capsules, at their closest points. Other pairs of shapes are those of
    `SolidContacts`.

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
    _ellipsoids: Tensor
    _semi_axes: Tensor
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
        # Half of a margin on either side moves no contact, and the gap closes that much earlier.
        margins = np.array([0.5 * pair.margin for pair, _, _, _ in floor])
        buffer(self, "_floor_height", np.array(heights) + margins)
        buffer(self, "_floor_radius", np.array([_radius(shape) for _, shape, _, _ in floor]) + margins)
        axes = [rotation_of(shape.frame.quaternion)[:, 2:] * (shape.kind == "capsule") for _, shape, _, _ in floor]
        buffer(self, "_floor_axis", np.array(axes).reshape(-1, 3, 1))
        index_buffer(self, "_floor_links", [shape.frame.link % (world + 1) for _, shape, _, _ in floor])
        ellipsoids = [shape.kind == "ellipsoid" for _, shape, _, _ in floor]
        index_buffer(self, "_ellipsoids", np.flatnonzero(ellipsoids).tolist())
        buffer(self, "_semi_axes", np.array([_semi_axes(shape) for _, shape, _, _ in floor]).reshape(-1, 3, 3))

        rounds = [index for index, shape in enumerate(skeleton.shapes) if shape.kind in _ROUND]
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
        radii = np.array([[first.size[0], second.size[0]] for first, second in touching]).reshape(-1, 2)
        margins = np.array([pair.margin for pair in pairs])
        buffer(self, "_pair_radii", radii + 0.5 * margins[:, None])

        reach = np.array([_reach(first) + _reach(second) for first, second in touching]) + margins + _SLACK
        buffer(self, "_pair_reach", reach)

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
        if self.size > self.floors or not parts:
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
            torch.cat(
                [points, self._floor_normal, levels, self._floor_axis.squeeze(-1), self._semi_axes.mT.flatten(1)],
                dim=-1,
            ).double(),
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
        none = poses.position.new_zeros(0, dtype=torch.long)
        sample, gap = [none], [none]
        position, rotation = batch_last(poses)
        if self.floors:
            height = torch.addmm(self._upright @ position.flatten(0, 1), self._of_heights, rotation.flatten(0, 2))
            if len(self._ellipsoids):
                reach = self._ellipsoid_arms(poses)[1]
                height[self._ellipsoids] -= reach.mT
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
        some = aligned(segments).nonzero().squeeze(-1)
        if not len(some):
            return sample, gap, gaps
        start_a, along_a, start_b, along_b = (part[some] for part in segments)
        among, ends = gaps_at_ends(start_a, along_a, start_b, along_b, self._pair_radii[gap[pairs[some]] - self.floors])
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
        distance = closest_points(*segments, dim=0)[1].square().sum(0)
        shut = (distance < self._pair_radii.sum(-1).square().index_select(0, pair)).nonzero().squeeze(-1)
        return sample[shut], pair[shut]

    def _over_floor(self, poses: Poses) -> Gaps:
        axis = (poses.rotation.index_select(-3, self._floor_links) @ self._floor_axis).squeeze(-1)
        points = self._floor_points(poses)
        if len(self._ellipsoids):
            points = points.index_add(-2, self._ellipsoids, self._ellipsoid_arms(poses)[0])
        return floor_gaps(points, axis, self._floor_normal, self._floor_height, self._floor_radius)

    def _floors_at(self, poses: Poses, sample: Tensor, gap: Tensor) -> Gaps:
        rotation = poses.rotation[sample, self._floor_links[gap]]
        axis = (rotation @ self._floor_axis[gap]).squeeze(-1)
        points = self._floor_points.at(poses, sample, gap)
        if len(self._ellipsoids):
            points = points + lowest_points(rotation @ self._semi_axes[gap], self._floor_normal[gap])[0]
        return floor_gaps(
            points,
            axis,
            self._floor_normal[gap],
            self._floor_height[gap],
            self._floor_radius[gap],
        )

    def _ellipsoid_arms(self, poses: Poses) -> tuple[Tensor, Tensor]:
        """`lowest_points` of the ellipsoids."""
        rotation = poses.rotation.index_select(-3, self._floor_links[self._ellipsoids])
        return lowest_points(rotation @ self._semi_axes[self._ellipsoids], self._floor_normal[self._ellipsoids])

    def _between(self, poses: Poses) -> Gaps:
        ends = self._ends(poses)
        start, end = ends[..., : self._rounds, :], ends[..., self._rounds :, :]
        along = end - start
        first, second = self._pair_first, self._pair_second
        return segment_gaps(
            start.index_select(-2, first),
            along.index_select(-2, first),
            start.index_select(-2, second),
            along.index_select(-2, second),
            self._pair_radii,
        )

    def _pairs_at(self, poses: Poses, sample: Tensor, pair: Tensor) -> Gaps:
        return segment_gaps(*self._segments_at(poses, sample, pair), self._pair_radii[pair])

    def _segments_at(self, poses: Poses, sample: Tensor, pair: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the first shape one end and the way to the other, then of the second, `(n, 3)` each."""
        first, second = self._pair_first[pair], self._pair_second[pair]
        start_a, start_b = (self._ends.at(poses, sample, shape) for shape in (first, second))
        end_a, end_b = (self._ends.at(poses, sample, shape + self._rounds) for shape in (first, second))
        return start_a, end_a - start_a, start_b, end_b - start_b


def has_closed_form(skeleton: Skeleton, pair: Pair) -> bool:
    """Whether a pair is one of `ContactGaps`."""
    kinds = {skeleton.shapes[index].kind for index in (pair.first, pair.second)}
    return kinds <= set(_ROUND) or bool(_over_plane(skeleton, pair))


def _over_plane(skeleton: Skeleton, pair: Pair) -> list[tuple[Pair, Shape, tuple[float, float, float], Shape]]:
    shapes = (skeleton.shapes[pair.first], skeleton.shapes[pair.second])
    plane, shape = sorted(shapes, key=lambda shape: shape.kind != "plane")
    if plane.kind != "plane" or plane.frame.link >= 0 or shape.kind in ("plane", "cylinder", "mesh"):
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


def _semi_axes(shape: Shape) -> np.ndarray:
    """Of an ellipsoid, the columns of `(3, 3)`, in its link's frame and in metres; zero of any other shape."""
    return rotation_of(shape.frame.quaternion) * np.array(shape.size) * (shape.kind == "ellipsoid")


def _reach(shape: Shape) -> float:
    """The radius of a sphere's or capsule's bounding sphere."""
    return shape.size[0] + shape.size[1] * (shape.kind == "capsule")


def _radius(shape: Shape) -> float:
    return 0.0 if shape.kind in ("box", "ellipsoid") else shape.size[0]
