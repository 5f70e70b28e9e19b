"""Contacts of shapes that have no closed form in `ContactGaps`, such as boxes on boxes: as MuJoCo finds them."""

import functools
import math

import mujoco
import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.contacts import has_closed_form
from mosim.geometry.gaps import Gaps, closest_points
from mosim.geometry.kinematics import Points, Poses, batch_last
from mosim.geometry.skeleton import SHAPE_KINDS, Pair, Shape, Skeleton
from mosim.geometry.spatial import buffer, index_buffer, rotation_of

_GEOMS = {kind: mujoco.mjtGeom(number) for number, kind in SHAPE_KINDS.items()}

_ARENA = 2**20
"""Bytes for the contacts of one state."""

_ROUNDING = 1e-5
"""Metres by which what bounds shapes may be off in single precision."""


class SolidContacts(nn.Module):
    """Contacts of the pairs of shapes that MuJoCo lets collide and `ContactGaps` does not look at.

    Which pairs may touch is found for a whole batch at once; of these, MuJoCo's own collision detection finds the
    contacts, one state after the other and on the CPU. How deep they are and where they are has a gradient by the
    poses; the direction of their normal has none.

    Distances are less the margin of their pair.

    Attributes:
      size: how many pairs there are.
      pairs: of which two shapes each is; those with a plane come first.
      first, second: `(size,)`: the links of the two shapes; the world's index is the number of links.
      friction: `(size,)`: 1 where contacts have friction, else 0.
    """

    first: Tensor
    second: Tensor
    friction: Tensor
    _plane: Tensor
    _over: Tensor
    _flat: Tensor
    _one: Tensor
    _other: Tensor
    _axis: Tensor
    _radius: Tensor
    _half_length: Tensor
    _margin: Tensor
    _reach: Tensor
    _of_origins: Tensor
    _of_rotations: Tensor
    _links: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        world, shapes = len(skeleton.links), skeleton.shapes
        left = [pair for pair in skeleton.pairs if not has_closed_form(skeleton, pair)]
        with_plane = [pair for pair in left if "plane" in (shapes[pair.first].kind, shapes[pair.second].kind)]
        between = [pair for pair in left if pair not in with_plane]
        self.pairs = (*with_plane, *between)
        self.size = len(left)
        index_buffer(self, "first", [shapes[pair.first].frame.link % (world + 1) for pair in self.pairs])
        index_buffer(self, "second", [shapes[pair.second].frame.link % (world + 1) for pair in self.pairs])
        ordered = [sorted((pair.first, pair.second), key=lambda i: shapes[i].kind != "plane") for pair in with_plane]
        buffer(self, "friction", np.array([pair.condim > 1 for pair in self.pairs]))
        index_buffer(self, "_plane", [plane for plane, _ in ordered])
        index_buffer(self, "_over", [shape for _, shape in ordered])
        flat = torch.tensor([shapes[shape].kind == "cylinder" for _, shape in ordered], dtype=torch.bool)
        self.register_buffer("_flat", flat, persistent=False)
        index_buffer(self, "_one", [pair.first for pair in between])
        index_buffer(self, "_other", [pair.second for pair in between])
        bounds = [_bounding_capsule(shape) for shape in shapes]
        self._shapes = shapes
        self._middles = Points([shape.frame for shape in shapes])
        # MuJoCo's search for contacts magnifies rounding.
        self._places, self._turns = _geom_frames(shapes, self.pairs)
        index_buffer(self, "_links", [shape.frame.link % (world + 1) for shape in shapes])
        buffer(self, "_axis", np.array([axis for axis, _, _ in bounds]).reshape(-1, 3, 1))
        buffer(self, "_half_length", np.array([half_length for _, half_length, _ in bounds]))
        buffer(self, "_radius", np.array([radius for _, _, radius in bounds]))
        # Products of matrices give one coordinate of all middles.
        of_origins, of_rotations = np.zeros((len(shapes), world + 1)), np.zeros((len(shapes), 3, world + 1))
        for line, shape in enumerate(shapes):
            of_origins[line, shape.frame.link] = 1
            of_rotations[line, :, shape.frame.link] = shape.frame.position
        buffer(self, "_of_origins", of_origins)
        buffer(self, "_of_rotations", of_rotations.reshape(len(shapes), 3 * world + 3))
        reach = [sum(bounds[shape][1] + bounds[shape][2] for shape in (pair.first, pair.second)) for pair in between]
        margins = np.array([pair.margin for pair in self.pairs])
        buffer(self, "_margin", margins)
        buffer(self, "_reach", np.array(reach) + margins[len(with_plane) :] + _ROUNDING)

    def touching(self, poses: Poses) -> tuple[Tensor, Tensor, Gaps]:
        """Every contact, of `poses` of one leading dimension; a pair may have several.

        Returns:
          For each contact its index in the batch and among the pairs, both `(n,)`, and where it is, `(n,)`.
        """
        with torch.no_grad():
            sample, pair, gaps = self._found(poses, self._near(poses))
        return sample, pair, self._moving(poses, sample, pair, gaps)

    @torch.no_grad()
    def within(self, poses: Poses, distance: float) -> Tensor:
        """Which pairs are closer than a distance in metres, `(batch, size)`, of `poses` of one leading dimension."""
        near = self.distances_at_least(poses) < distance
        sample, pair, _ = self._found(poses, near.any(-1).nonzero().squeeze(-1), distance)
        closer = torch.zeros_like(near)
        closer[sample, pair] = True
        return closer

    def _found(self, poses: Poses, states: Tensor, earlier: float = 0.0) -> tuple[Tensor, Tensor, Gaps]:
        """Contacts in some states as `touching` has them, those included that are so much farther apart, in metres."""
        links = self._links.cpu()
        position = poses.position[states].cpu().double()[:, links]
        rotation = poses.rotation[states].cpu().double()[:, links]
        position = position + (rotation @ self._places).squeeze(-1)
        rotation = (rotation @ self._turns).flatten(2)
        found = _contacts_of(self._shapes, self.pairs, position.numpy(), rotation.numpy(), earlier)
        sample, pair = (torch.from_numpy(part).to(states.device) for part in found[:2])
        distance, position, normal = (torch.from_numpy(part).to(poses.position) for part in found[2:])
        return states[sample], pair, Gaps(distance - self._margin[pair], position, normal, 0 * normal)

    def _near(self, poses: Poses) -> Tensor:
        """States in which some pair may touch, `(n,)`; most are told by spheres around the shapes."""
        near = poses.position.new_zeros(len(poses.position), dtype=torch.bool)
        if len(self._plane):
            middles = self._middles(poses)
            rotation = poses.rotation.index_select(-3, self._links)
            height = self._over_planes(middles, (rotation @ self._axis).squeeze(-1))
            near |= (height < self._margin[: len(self._plane)] + _ROUNDING).any(-1)
        if len(self._one):
            position, rotation = batch_last(poses)
            middles = self._of_origins @ position + self._of_rotations @ rotation.flatten(1, 2)
            # One coordinate at a time stays in a processor's cache.
            x, y, z = (
                (part.index_select(0, self._one) - part.index_select(0, self._other)).square_() for part in middles
            )
            pair, sample = (x + y + z < self._reach.square().unsqueeze(-1)).nonzero().unbind(-1)
            segments = []
            for shapes in (self._one[pair], self._other[pair]):
                axis = (poses.rotation[sample, self._links[shapes]] @ self._axis[shapes]).squeeze(-1)
                half = self._half_length[shapes].unsqueeze(-1) * axis
                segments += [middles[:, shapes, sample].mT - half, 2 * half]
            apart = torch.linalg.vector_norm(closest_points(*segments)[1], dim=-1)
            radii = self._radius[self._one[pair]] + self._radius[self._other[pair]]
            near[sample[apart < radii + self._margin[len(self._plane) + pair] + _ROUNDING]] = True
        return near.nonzero().squeeze(-1)

    def _moving(self, poses: Poses, sample: Tensor, pair: Tensor, gaps: Gaps) -> Gaps:
        """Contacts that move with the shapes whose surfaces they are between."""
        if not (poses.position.requires_grad or poses.rotation.requires_grad):
            return gaps
        half, moved = 0.5 * gaps.distance.unsqueeze(-1) * gaps.normal, []
        for links, point in ((self.first, gaps.position + half), (self.second, gaps.position - half)):
            origin, rotation = poses.position[sample, links[pair]], poses.rotation[sample, links[pair]]
            local = rotation.detach().mT @ (point - origin.detach()).unsqueeze(-1)
            moved.append(origin + (rotation @ local).squeeze(-1))
        first, second = moved
        opening = ((first - second) * gaps.normal).sum(-1)
        return gaps._replace(distance=gaps.distance + opening - opening.detach(), position=0.5 * (first + second))

    def distances_at_least(self, poses: Poses) -> Tensor:
        """By what bounds shapes, `(batch, size)`, in metres; shapes at a positive distance do not touch."""
        axes = (poses.rotation.index_select(-3, self._links) @ self._axis).squeeze(-1)
        middles = self._middles(poses)
        return torch.cat([self._over_planes(middles, axes), self._between(middles, axes)], dim=-1) - self._margin

    def _over_planes(self, middles: Tensor, axes: Tensor) -> Tensor:
        normal, axis = axes[..., self._plane, :], axes[..., self._over, :]
        upright = (axis * normal).sum(-1)
        height = ((middles[..., self._over, :] - middles[..., self._plane, :]) * normal).sum(-1)
        # A cylinder's edge, or the ball around a mesh.
        sine = torch.where(self._flat, (1 - upright.square()).clamp_min(0.0).sqrt(), 1.0)
        return height - self._radius[self._over] * sine - self._half_length[self._over] * upright.abs()

    def _between(self, middles: Tensor, axes: Tensor) -> Tensor:
        segments = []
        for shapes in (self._one, self._other):
            half = self._half_length[shapes].unsqueeze(-1) * axes[..., shapes, :]
            segments += [middles[..., shapes, :] - half, 2 * half]
        apart = closest_points(*segments)[1]
        return torch.linalg.vector_norm(apart, dim=-1) - self._radius[self._one] - self._radius[self._other]


def _bounding_capsule(shape: Shape) -> tuple[np.ndarray, float, float]:
    """Around a shape: its axis in its link's frame, half the segment's length, its radius; of a plane, the normal."""
    rotation, size = rotation_of(shape.frame.quaternion), shape.size
    if shape.kind == "mesh":
        return rotation[:, 2], 0.0, float(np.linalg.norm(shape.vertices, axis=-1).max())
    if shape.kind in ("plane", "sphere"):
        return rotation[:, 2], 0.0, size[0] * (shape.kind == "sphere")
    if shape.kind in ("capsule", "cylinder"):
        return rotation[:, 2], size[1], size[0]
    long = int(np.argmax(size))
    others = [half for axis, half in enumerate(size) if axis != long]
    if shape.kind == "box":
        return rotation[:, long], size[long], math.hypot(*others)
    return rotation[:, long], size[long] - max(others), max(others)  # An ellipsoid.


def _contacts_of(
    shapes: tuple[Shape, ...], pairs: tuple[Pair, ...], positions: np.ndarray, rotations: np.ndarray, earlier: float
) -> tuple[np.ndarray, ...]:
    """What MuJoCo's collision detection finds.

    Args:
      shapes: of the skeleton.
      pairs: of those that are looked at.
      positions: of shapes' middles, `(states, shapes, 3)`.
      rotations: `(states, shapes, 9)`.
      earlier: metres that are added to each margin.

    Returns:
      Of each contact the state, the pair, the distance, the position and the normal, which opens it for the first.
    """
    none = np.zeros(0, dtype=np.int64)
    nothing = (none, none, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))
    if not len(positions):
        return nothing
    model = _collision_model(shapes, pairs, earlier)
    data = mujoco.MjData(model)
    places = {(pair.first, pair.second): place for place, pair in enumerate(pairs)}
    counts, parts = [], []
    for position, rotation in zip(positions, rotations, strict=True):
        data.geom_xpos[:], data.geom_xmat[:] = position, rotation
        mujoco.mj_collision(model, data)
        counts.append(data.ncon)
        if data.ncon:
            contacts = data.contact
            parts.append(
                (contacts.geom.copy(), contacts.dist.copy(), contacts.pos.copy(), contacts.frame[:, :3].copy())
            )
    if not parts:
        return nothing
    geoms, distance, position, normal = (np.concatenate(part) for part in zip(*parts, strict=True))
    ordered = geoms[:, 0] < geoms[:, 1]  # Pairs are; MuJoCo's normal leads from its first geom to its second.
    low, high = geoms.min(-1), geoms.max(-1)
    pair = np.array([places[one, other] for one, other in zip(low.tolist(), high.tolist(), strict=True)])
    sample = np.repeat(np.arange(len(counts)), counts)
    return sample, pair, distance, position, np.where(ordered, -1.0, 1.0)[:, None] * normal


def _geom_frames(shapes: tuple[Shape, ...], pairs: tuple[Pair, ...]) -> tuple[Tensor, Tensor]:
    """Where in their links MuJoCo has the geoms of `_collision_model`, `(shapes, 3, 1)` and `(shapes, 3, 3)`.

    It moves the frame of a mesh to the middle of its mass, and turns it to its axes.
    """
    places, turns = np.zeros((len(shapes), 3, 1)), np.zeros((len(shapes), 3, 3))
    meshes = [index for index, shape in enumerate(shapes) if shape.kind == "mesh"]
    model = _collision_model(shapes, pairs) if meshes and pairs else None
    for index, shape in enumerate(shapes):
        turns[index], places[index, :, 0] = rotation_of(shape.frame.quaternion), shape.frame.position
        if model is not None and shape.kind == "mesh":
            places[index, :, 0] += turns[index] @ model.geom_pos[index]
            turns[index] = turns[index] @ rotation_of(model.geom_quat[index])
    return torch.from_numpy(places), torch.from_numpy(turns)


@functools.lru_cache(maxsize=16)
def _collision_model(shapes: tuple[Shape, ...], pairs: tuple[Pair, ...], earlier: float = 0.0) -> mujoco.MjModel:
    """The shapes alone, each on a body of its own, of which only these pairs collide."""
    spec = mujoco.MjSpec()
    spec.memory = _ARENA
    for index, shape in enumerate(shapes):
        body = spec.worldbody.add_body(name=str(index), mocap=True)
        geom = body.add_geom(name=str(index), type=_GEOMS[shape.kind], size=shape.size, contype=0, conaffinity=0)
        if shape.kind == "mesh":
            spec.add_mesh(name=str(index), uservert=np.array(shape.vertices).flatten())
            geom.meshname = str(index)
    for pair in pairs:
        spec.add_pair(geomname1=str(pair.first), geomname2=str(pair.second), margin=pair.margin + earlier)
    return spec.compile()
