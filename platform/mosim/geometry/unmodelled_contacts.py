"""Where shapes may touch whose contacts are not modelled, in a batch of poses at once."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.contacts import is_modelled
from mosim.geometry.gaps import closest_points
from mosim.geometry.kinematics import Points, Poses
from mosim.geometry.skeleton import Shape, Skeleton
from mosim.geometry.spatial import buffer, index_buffer, rotation_of


class UnmodelledContacts(nn.Module):
    """Pairs of shapes that MuJoCo lets collide and `ContactGaps` does not look at, and from where on they cannot touch.

    Over planes, these are cylinders, and exact; of other pairs, each shape is put into a capsule.

    Attributes:
      size: how many pairs there are.
      pairs: of which two shapes each is; those with a plane come first.
      first, second: `(size,)`: the links of the two shapes; the world's index is the number of links.
    """

    first: Tensor
    second: Tensor
    _plane: Tensor
    _over: Tensor
    _one: Tensor
    _other: Tensor
    _axis: Tensor
    _radius: Tensor
    _half_length: Tensor
    _links: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        world, shapes = len(skeleton.links), skeleton.shapes
        left = [pair for pair in skeleton.pairs if not is_modelled(skeleton, pair)]
        with_plane = [pair for pair in left if "plane" in (shapes[pair.first].kind, shapes[pair.second].kind)]
        between = [pair for pair in left if pair not in with_plane]
        self.pairs = (*with_plane, *between)
        self.size = len(left)
        index_buffer(self, "first", [shapes[pair.first].frame.link % (world + 1) for pair in self.pairs])
        index_buffer(self, "second", [shapes[pair.second].frame.link % (world + 1) for pair in self.pairs])
        ordered = [sorted((pair.first, pair.second), key=lambda i: shapes[i].kind != "plane") for pair in with_plane]
        index_buffer(self, "_plane", [plane for plane, _ in ordered])
        index_buffer(self, "_over", [shape for _, shape in ordered])
        index_buffer(self, "_one", [pair.first for pair in between])
        index_buffer(self, "_other", [pair.second for pair in between])
        bounds = [_bounding_capsule(shape) for shape in shapes]
        self._middles = Points([shape.frame for shape in shapes])
        index_buffer(self, "_links", [shape.frame.link % (world + 1) for shape in shapes])
        buffer(self, "_axis", np.array([axis for axis, _, _ in bounds]).reshape(-1, 3, 1))
        buffer(self, "_half_length", np.array([half_length for _, half_length, _ in bounds]))
        buffer(self, "_radius", np.array([radius for _, _, radius in bounds]))

    def forward(self, poses: Poses) -> Tensor:
        """Distances at least, `(batch, size)`, in metres; shapes at a positive one do not touch."""
        axes = (poses.rotation.index_select(-3, self._links) @ self._axis).squeeze(-1)
        middles = self._middles(poses)
        return torch.cat([self._over_planes(middles, axes), self._between(middles, axes)], dim=-1)

    def _over_planes(self, middles: Tensor, axes: Tensor) -> Tensor:
        normal, axis = axes[..., self._plane, :], axes[..., self._over, :]
        upright = (axis * normal).sum(-1)
        height = ((middles[..., self._over, :] - middles[..., self._plane, :]) * normal).sum(-1)
        radius = self._radius[self._over] * (1 - upright.square()).clamp_min(0.0).sqrt()
        return height - radius - self._half_length[self._over] * upright.abs()

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
    if shape.kind in ("plane", "sphere"):
        return rotation[:, 2], 0.0, size[0] * (shape.kind == "sphere")
    if shape.kind in ("capsule", "cylinder"):
        return rotation[:, 2], size[1], size[0]
    long = int(np.argmax(size))
    others = [half for axis, half in enumerate(size) if axis != long]
    if shape.kind == "box":
        return rotation[:, long], size[long], math.hypot(*others)
    return rotation[:, long], size[long] - max(others), max(others)  # An ellipsoid.
