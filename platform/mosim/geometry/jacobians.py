"""Jacobians of points on a robot's links, in torch, as MuJoCo has them."""

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.kinematics import Kinematics, Poses, batch_last
from mosim.geometry.skeleton import WORLD, Skeleton
from mosim.geometry.spatial import buffer, cross_product, index_buffer, product

_STRAIGHT = 1e-6
"""Sines and cosines below this are of directions along, or at right angles to, one another."""


class Jacobians(nn.Module):
    """How points move with each degree of freedom; matches MuJoCo's `mj_jac`.

    Attributes:
      moves: `(links + 1, nv)`: 1 where a degree of freedom moves a link; the last link is the world.
      links: `(nv,)`: the link whose joint each degree of freedom is of.
      fixed: `(nv, 1)`: 1 where the axis is the world's own, as of a free joint's place, else 0: of the link.
    """

    moves: Tensor
    links: Tensor
    fixed: Tensor
    _axis: Tensor
    _anchor: Tensor
    _turns: Tensor

    def __init__(self, skeleton: Skeleton, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` is the precision of the drawing's numbers, and of the poses to come."""
        super().__init__()
        links, axes, anchors, turns, world = [], [], [], [], []
        for index, link in enumerate(skeleton.links):
            plain = link.kind in ("hinge", "slide")
            moved = [link.axis] if plain else np.eye(3).tolist() * (2 if link.kind == "free" else 1)
            for number, axis in enumerate(moved):
                links.append(index)
                axes.append(np.array(axis)[:, None])
                anchors.append(np.array(link.anchor)[:, None])
                world.append([link.kind == "free" and number < 3])
                turns.append([link.kind != "slide" and not world[-1][0]])
        moves = np.zeros((len(skeleton.links) + 1, len(links)))
        for link in range(len(skeleton.links)):
            ancestor = link
            while ancestor != WORLD:
                moves[link, [dof for dof, owner in enumerate(links) if owner == ancestor]] = 1
                ancestor = skeleton.links[ancestor].parent
        index_buffer(self, "links", links)
        buffer(self, "moves", moves, dtype)
        for name, rows in (("_axis", axes), ("_anchor", anchors)):
            buffer(self, name, np.array(rows).swapaxes(0, 1), dtype)
        buffer(self, "_turns", turns, dtype)
        buffer(self, "fixed", world, dtype)
        self._skeleton_turns_freely = any(link.kind in ("free", "ball") for link in skeleton.links)
        self._size_of_qpos = len(skeleton.links)

    def forward(self, poses: Poses, position: Tensor, moved: Tensor) -> Tensor:
        """Jacobians of points in the world's frame, `(..., points, nv, 3)`.

        Args:
          poses: of the links.
          position: of the points, `(..., points, 3)`, in metres.
          moved: `(..., points, nv)`: rows of `moves` of the links that they are fixed to; or the difference of two such
            rows, for the velocity of one link against another at a point where they touch.
        """
        axis, center = self._axes(poses)
        arm = position.unsqueeze(-2) - center.unsqueeze(-3)
        turning = torch.linalg.cross((self._turns * axis).unsqueeze(-3).expand_as(arm), arm)
        return (turning + ((1 - self._turns) * axis).unsqueeze(-3)) * moved.unsqueeze(-1)

    def screws(self, poses: Poses, origin: Tensor | None = None) -> Tensor:
        """How each degree of freedom moves its links, `(..., 6, nv)`.

        What a point `p` moves along a direction `d` is the inner product with `[p x d, d]`: the angular velocity first,
        then the velocity of what is at the origin.

        Args:
          poses: of the links.
          origin: of each degree of freedom, `(..., nv, 3)`; the world's where not given.
        """
        axis, center = self._lines(poses)
        if origin is not None:
            center = center - origin.reshape(-1, len(self.links), 3).permute(2, 1, 0)
        turning = self._turns * axis
        moving = cross_product(center, turning, dim=0) + (axis - turning)
        return torch.cat([turning, moving]).permute(2, 0, 1).reshape(*poses.position.shape[:-2], 6, len(self.links))

    def still_direction(self, kinematics: Kinematics) -> Tensor | None:
        """A direction, `(3,)`, in which no degree of freedom ever moves anything; None where there is no such."""
        if self._skeleton_turns_freely or not bool(self._turns.any()):
            return None
        axis, _ = self._axes(kinematics.poses(self._axis.new_zeros(self._size_of_qpos)))
        hinges = self._turns.squeeze(-1) > 0
        still = axis[hinges][0]
        parallel = torch.linalg.cross(axis[hinges], still.expand_as(axis[hinges])).abs().max() < _STRAIGHT
        across = (axis[~hinges] @ still).abs().amax() < _STRAIGHT if (~hinges).any() else True
        return still if parallel and across else None

    def _axes(self, poses: Poses) -> tuple[Tensor, Tensor]:
        """Each degree of freedom's axis, and a point on it, in the world's frame; `(..., nv, 3)` each."""
        batch = poses.position.shape[:-2]
        axis, center = (part.permute(2, 1, 0).reshape(*batch, len(self.links), 3) for part in self._lines(poses))
        return axis, center

    def _lines(self, poses: Poses) -> tuple[Tensor, Tensor]:
        """The same, batch last, `(3, nv, batch)`."""
        position, rotation = batch_last(poses)
        rotation = rotation.index_select(2, self.links)
        axis = product(rotation, self._axis.unsqueeze(1)).squeeze(1)
        axis = axis + self.fixed * (self._axis - axis)
        center = position.index_select(1, self.links) + product(rotation, self._anchor.unsqueeze(1)).squeeze(1)
        return axis, center
