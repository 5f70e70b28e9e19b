"""How far cylinders are from planes, in a batch of poses at once."""

import numpy as np
from torch import Tensor, nn

from mosim.geometry.kinematics import Points, Poses
from mosim.geometry.skeleton import Skeleton
from mosim.geometry.spatial import buffer, index_buffer, rotation_of


class Undersides(nn.Module):
    """Cylinders that MuJoCo lets collide with planes fixed to the world.

    What they do there is not modelled; where they are near is known.

    Attributes:
      size: how many pairs there are.
      links: `(size,)`: of the cylinders.
    """

    links: Tensor
    _normal: Tensor
    _height: Tensor
    _axis: Tensor
    _sizes: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        found = []
        for pair in skeleton.pairs:
            shapes = (skeleton.shapes[pair.first], skeleton.shapes[pair.second])
            plane, shape = sorted(shapes, key=lambda shape: shape.kind != "plane")
            if plane.kind == "plane" and plane.frame.link < 0 and shape.kind == "cylinder":
                found.append((plane, shape))
        self.size = len(found)
        self._middles = Points([shape.frame for _, shape in found])
        index_buffer(self, "links", [shape.frame.link % (len(skeleton.links) + 1) for _, shape in found])
        normals = [rotation_of(plane.frame.quaternion)[:, 2] for plane, _ in found]
        heights = [normal @ np.array(plane.frame.position) for normal, (plane, _) in zip(normals, found, strict=True)]
        buffer(self, "_normal", np.array(normals).reshape(-1, 3))
        buffer(self, "_height", np.array(heights))
        axes = [rotation_of(shape.frame.quaternion)[:, 2] for _, shape in found]
        buffer(self, "_axis", np.array(axes).reshape(-1, 3, 1))
        sizes = [shape.size[:2] for _, shape in found]
        buffer(self, "_sizes", np.array(sizes).reshape(-1, 2))

    def forward(self, poses: Poses) -> Tensor:
        """Distances, `(batch, size)`, in metres; negative where they overlap."""
        axis = (poses.rotation.index_select(-3, self.links) @ self._axis).squeeze(-1)
        upright = (axis * self._normal).sum(-1)
        radius, half_length = self._sizes.unbind(-1)
        reach = radius * (1 - upright.square()).clamp_min(0.0).sqrt() + half_length * upright.abs()
        return (self._middles(poses) * self._normal).sum(-1) - self._height - reach
