"""How far ellipsoids and cylinders are from planes, in a batch of poses at once."""

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.kinematics import Points, Poses
from mosim.geometry.skeleton import Skeleton
from mosim.geometry.spatial import buffer, index_buffer, rotation_of


class Undersides(nn.Module):
    """Ellipsoids and cylinders that MuJoCo lets collide with planes fixed to the world.

    What they do there is not modelled; where they are near is known.

    Attributes:
      size: how many pairs there are.
      links: `(size,)`: of the shapes.
    """

    links: Tensor
    _normal: Tensor
    _height: Tensor
    _rotation: Tensor
    _axes: Tensor
    _round: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        found = []
        for pair in skeleton.pairs:
            shapes = (skeleton.shapes[pair.first], skeleton.shapes[pair.second])
            plane, shape = sorted(shapes, key=lambda shape: shape.kind != "plane")
            if plane.kind == "plane" and plane.frame.link < 0 and shape.kind in ("ellipsoid", "cylinder"):
                found.append((plane, shape))
        self.size = len(found)
        self._middles = Points([shape.frame for _, shape in found])
        index_buffer(self, "links", [shape.frame.link % (len(skeleton.links) + 1) for _, shape in found])
        normals = [rotation_of(plane.frame.quaternion)[:, 2] for plane, _ in found]
        heights = [normal @ np.array(plane.frame.position) for normal, (plane, _) in zip(normals, found, strict=True)]
        buffer(self, "_normal", np.array(normals).reshape(-1, 3))
        buffer(self, "_height", np.array(heights))
        buffer(
            self, "_rotation", np.array([rotation_of(shape.frame.quaternion) for _, shape in found]).reshape(-1, 3, 3)
        )
        # A cylinder is as far across as its radius, and as far along its axis as half its length.
        axes = [
            shape.size if shape.kind == "ellipsoid" else (shape.size[0], shape.size[0], shape.size[1])
            for _, shape in found
        ]
        buffer(self, "_axes", np.array(axes).reshape(-1, 3))
        buffer(self, "_round", np.array([shape.kind == "ellipsoid" for _, shape in found]).reshape(-1))

    def forward(self, poses: Poses) -> Tensor:
        """Distances, `(batch, size)`, in metres; negative where they overlap."""
        middle = self._middles(poses)
        turned = poses.rotation.index_select(-3, self.links) @ self._rotation
        across = (turned.mT @ self._normal.unsqueeze(-1)).squeeze(-1) * self._axes
        ellipsoid, disc = across.norm(dim=-1), across[..., :2].norm(dim=-1) + across[..., 2].abs()
        reach = torch.where(self._round > 0, ellipsoid, disc)
        return (middle * self._normal).sum(-1) - self._height - reach
