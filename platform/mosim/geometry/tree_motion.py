"""How the links of a robot's trees move: what the geometry alone says of its dynamics."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.jacobians import Jacobians
from mosim.geometry.kinematics import Kinematics
from mosim.geometry.skeleton import WORLD, Skeleton
from mosim.geometry.spatial import buffer, index_buffer, motion_cross_product, twist_matrices


class Placement(NamedTuple):
    """Where links with bodies are, and how each degree of freedom moves them, about the middle of their own tree.

    Attributes:
      frames: of the links with bodies, `(..., carriers, 4, 4)`: homogeneous, in the world's axes, metres.
      screws: `(..., nv, 6)`: the twist of one unit of each degree of freedom's velocity.
    """

    frames: Tensor
    screws: Tensor


class TreeMotion(nn.Module):
    """Places, velocities and accelerations of the links that carry bodies; their masses do not matter here.

    Twists are about the middle of each tree of links, which keeps arms short however far a robot has gone. Computed in
    the precision that it is made with, which is double by default: inertia matrices are badly conditioned.

    Attributes:
      carriers: the links that carry bodies, which alone can have a mass.
      trees: `(nv,)`: the number of the tree that each degree of freedom is of.
      moves: `(carriers, nv)`: 1 where a degree of freedom moves such a link.
      above: `(nv, nv)`: 1 where the degree of freedom of the column moves the link of the row's.
    """

    trees: Tensor
    moves: Tensor
    above: Tensor
    _carriers: Tensor
    _middle_of_dofs: Tensor
    _middle_of_carriers: Tensor
    _carried: Tensor
    _bottom: Tensor

    def __init__(self, skeleton: Skeleton, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self._kinematics, self._jacobians = Kinematics(skeleton, dtype), Jacobians(skeleton, dtype)
        self.carriers = tuple(sorted({body.link for body in skeleton.bodies} - {WORLD}))
        owners = self._jacobians.links.tolist()
        roots = _roots(skeleton)
        middles = _middles(roots, self.carriers)
        buffer(self, "_middle_of_dofs", middles[owners], dtype)
        buffer(self, "_middle_of_carriers", middles[list(self.carriers)], dtype)
        buffer(self, "_carried", 1 - self._jacobians.fixed.numpy(), dtype)
        buffer(self, "moves", self._jacobians.moves[list(self.carriers)].numpy(), dtype)
        buffer(self, "above", self._jacobians.moves[owners].numpy(), dtype)
        index_buffer(self, "trees", np.unique(np.array(roots)[owners], return_inverse=True)[1].tolist())
        index_buffer(self, "_carriers", self.carriers)
        # A number that is made on the way would have to be sent to a GPU at every step.
        buffer(self, "_bottom", [[0.0, 0.0, 0.0, 1.0]], dtype)

    def forward(self, qpos: Tensor) -> Placement:
        """The placement at `qpos`, `(..., nq)`, with unit quaternions."""
        poses = self._kinematics.poses(qpos)
        position = poses.position.index_select(-2, self._carriers) - self._middle_of_carriers @ poses.position
        rotation = poses.rotation.index_select(-3, self._carriers)
        top = torch.cat([rotation, position.unsqueeze(-1)], dim=-1)
        bottom = self._bottom.expand(*top.shape[:-2], 1, 4)
        screws = self._jacobians.screws(poses, self._middle_of_dofs @ poses.position)
        return Placement(torch.cat([top, bottom], dim=-2), screws.mT)

    def accelerations(self, placement: Placement, qvel: Tensor, gravity: Tensor, qacc: Tensor | None = None) -> Tensor:
        """Accelerations of places fixed to links that carry bodies, as if gravity were an acceleration of the world.

        Args:
          placement: of the links.
          qvel: `(..., nv)`.
          gravity: `(3,)`, in metres a second squared.
          qacc: `(..., nv)`; zero where not given.

        Returns:
          `(..., carriers, 3, 4)`: its product with a place `[x, y, z, 1]` about the tree's middle is the acceleration
          there, less gravity.
        """
        screws = placement.screws
        moving = qvel.unsqueeze(-1) * screws
        # The screw of a degree of freedom is carried along by its own link.
        changing = motion_cross_product(self.above @ moving, screws) * self._carried
        joints = qvel.unsqueeze(-1) * changing
        if qacc is not None:
            joints = joints + qacc.unsqueeze(-1) * screws
        spin, rates = twist_matrices(self.moves @ moving), twist_matrices(self.moves @ joints)
        falling = torch.cat([gravity.new_zeros(3, 3), gravity.unsqueeze(-1)], dim=-1)
        return rates + spin[..., :3] @ spin - falling


def _roots(skeleton: Skeleton) -> list[int]:
    """Of each link, the one of its tree that hangs on the world."""
    roots: list[int] = []
    for index, link in enumerate(skeleton.links):
        roots.append(index if link.parent == WORLD else roots[link.parent])
    return roots


def _middles(roots: list[int], carriers: tuple[int, ...]) -> np.ndarray:
    """Of each link, by which weights of all links' origins and the world's the middle of its tree is their mean."""
    weights = np.zeros((len(roots), len(roots) + 1))
    for index, root in enumerate(roots):
        weights[index, [carrier for carrier in carriers if roots[carrier] == root]] = 1
    return weights / np.maximum(weights.sum(1, keepdims=True), 1)
