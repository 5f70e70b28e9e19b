"""Forward kinematics of a batch of states at once, in torch: differentiable, on any device, as MuJoCo has them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry.skeleton import WORLD, Frame, Link, Skeleton
from mosim.geometry.spatial import buffer, cross_matrix, index_buffer, product, rotation_matrices, rotation_of


class Poses(NamedTuple):
    """Where links are, in the world's frame; the last is the world itself.

    Attributes:
      position: of their origins, `(..., links + 1, 3)`, in metres.
      rotation: `(..., links + 1, 3, 3)`.
    """

    position: Tensor
    rotation: Tensor


class Velocities(NamedTuple):
    """How links move, in the world's frame; the last is the world itself.

    Attributes:
      linear: of their origins, `(..., links + 1, 3)`, in metres a second.
      angular: `(..., links + 1, 3)`, in radians a second.
    """

    linear: Tensor
    angular: Tensor


class Kinematics(nn.Module):
    """Poses and velocities of a robot's links from `qpos` and `qvel`; matches MuJoCo's `mj_kinematics`.

    Every joint's own transform is computed at once; then links of one depth of the tree together, from those one above.
    """

    _order: Tensor
    _joints: Tensor

    def __init__(self, skeleton: Skeleton, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` is the precision of the drawing's numbers, and of the positions and velocities to come."""
        super().__init__()
        links = skeleton.links
        depths: list[int] = []
        for link in links:
            depths.append(0 if link.parent == WORLD else depths[link.parent] + 1)
        levels = [[i for i in range(len(links)) if depths[i] == depth] for depth in sorted(set(depths))]
        hinges = [index for index, link in enumerate(links) if link.kind in ("hinge", "slide")]
        orientations = [index for index, link in enumerate(links) if link.kind in ("free", "ball")]
        self._hinges = _Hinges([links[index] for index in hinges], dtype) if hinges else None
        turning = [links[index] for index in orientations]
        self._orientations = _Orientations(turning, dtype) if turning else None
        by_level = [index for level in levels for index in level]
        index_buffer(self, "_joints", [[*hinges, *orientations].index(index) for index in by_level])
        index_buffer(self, "_order", [*(by_level.index(index) for index in range(len(links))), len(links)])
        self._sizes = [len(level) for level in levels]
        for depth, (level, above) in enumerate(zip(levels, [[WORLD], *levels], strict=False)):
            index_buffer(self, f"_parents{depth}", [above.index(links[index].parent) for index in level])

    def poses(self, qpos: Tensor) -> Poses:
        """Poses from `qpos` of shape `(..., nq)`, with unit quaternions."""
        return self._chain(self._local(qpos, None), qpos.shape[:-1])[0]

    def forward(self, qpos: Tensor, qvel: Tensor) -> tuple[Poses, Velocities]:
        """Poses, and velocities from `qvel` of shape `(..., nv)`."""
        return self._chain(self._local(qpos, qvel), qpos.shape[:-1])

    def _local(self, qpos: Tensor, qvel: Tensor | None) -> Tensor:
        """Each link in its parent, batch last, `(3, columns, links, batch)`.

        Columns are those of the rotation, the position and, given `qvel`, angular and linear velocity.
        """
        flat = [part.reshape(part.shape[:-1].numel(), part.shape[-1]) for part in (qpos, qvel) if part is not None]
        parts = []
        if self._hinges is not None:
            parts.append(self._hinges(*(part.mT for part in flat)))
        if self._orientations is not None:
            parts.append(self._orientations(flat[0], flat[1] if len(flat) > 1 else None).permute(2, 3, 1, 0))
        together = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return together.index_select(2, self._joints)

    def _chain(self, local: Tensor, batch: torch.Size) -> tuple[Poses, Velocities]:
        # The batch comes last in here: the matrices are too small to multiply one at a time.
        moves = local.shape[1] > 4
        nothing = local.new_zeros(3, 1, local.shape[-1])
        position, linear, angular = [nothing], [nothing], [nothing]
        rotation = [
            torch.eye(3, dtype=local.dtype, device=local.device)[:, :, None, None].expand(-1, -1, *nothing.shape[1:])
        ]
        for depth, own in enumerate(local.split(self._sizes, dim=2)):
            parents = getattr(self, f"_parents{depth}")
            turned = product(rotation[-1].index_select(2, parents), own) if depth else own
            offset = turned[:, 3]
            position.append(position[-1].index_select(1, parents) + offset)
            rotation.append(turned[:, :3])
            if moves:
                spin = angular[-1].index_select(1, parents)
                linear.append(
                    linear[-1].index_select(1, parents) + torch.linalg.cross(spin, offset, dim=0) + turned[:, 5]
                )
                angular.append(spin + turned[:, 4])
        poses = Poses(self._collect(position, batch), self._collect(rotation, batch))
        if not moves:
            return poses, Velocities(poses.position, poses.position)
        return poses, Velocities(self._collect(linear, batch), self._collect(angular, batch))

    def _collect(self, levels: list[Tensor], batch: torch.Size) -> Tensor:
        """All levels in the links' order as a view, `(..., links + 1, 3)` or `(..., links + 1, 3, 3)`."""
        dim = levels[0].ndim - 2
        together = torch.cat([*levels[1:], levels[0]], dim=dim).index_select(dim, self._order)
        together = together.movedim((-1, -2), (0, 1))
        return together.reshape(*batch, *together.shape[1:])


class _Hinges(nn.Module):
    """Hinges and slides: a frame `fixed + first * A + second * B`, of two scalars of the joint's position.

    The scalars are sine and one minus cosine of a hinge's angle (Rodrigues), or a slide's distance and zero.
    """

    _qpos: Tensor
    _dofs: Tensor
    _turns: Tensor
    _reference: Tensor
    _fixed: Tensor
    _first: Tensor
    _second: Tensor
    _spin: Tensor
    _lever: Tensor
    _slide: Tensor

    def __init__(self, links: Sequence[Link], dtype: torch.dtype) -> None:
        super().__init__()
        index_buffer(self, "_qpos", [link.qpos_address for link in links])
        index_buffer(self, "_dofs", [link.dof_address for link in links])
        parts: dict[str, list] = {name: [] for name in ("_fixed", "_first", "_second", "_spin", "_lever", "_slide")}
        for link in links:
            rotation = rotation_of(link.quaternion)
            axis, anchor, position = (np.array(part)[:, None] for part in (link.axis, link.anchor, link.position))
            turns = float(link.kind == "hinge")
            cross = turns * cross_matrix(axis[:, 0])
            slide = (1 - turns) * rotation @ axis
            parts["_fixed"].append(np.hstack([rotation, position]))
            parts["_first"].append(np.hstack([rotation @ cross, slide - rotation @ cross @ anchor]))
            parts["_second"].append(np.hstack([rotation @ cross @ cross, -rotation @ cross @ cross @ anchor]))
            # An axis is the same before and after the turn about it.
            parts["_spin"].append(turns * rotation @ axis)
            parts["_lever"].append(-cross @ anchor)
            parts["_slide"].append(slide)
        for name, rows in parts.items():
            buffer(self, name, np.moveaxis(np.array(rows), 0, -1)[..., None], dtype)
        buffer(self, "_turns", [[link.kind == "hinge"] for link in links], dtype)
        buffer(self, "_reference", [[link.reference] for link in links], dtype)

    def forward(self, qpos: Tensor, qvel: Tensor | None = None) -> Tensor:
        """Frames, `(3, columns, hinges, batch)`, from `qpos` and `qvel` of shapes `(nq, batch)` and `(nv, batch)`."""
        moved = qpos.index_select(0, self._qpos) - self._reference
        first = torch.where(self._turns > 0, torch.sin(moved), moved)
        frame = torch.addcmul(torch.addcmul(self._fixed, first, self._first), 1 - torch.cos(moved), self._second)
        if qvel is None:
            return frame
        rate = qvel.index_select(0, self._dofs)
        linear = product(frame[:, :3], self._lever) + self._slide
        return torch.cat([frame, rate * self._spin, rate * linear], dim=1)


class _Orientations(nn.Module):
    """Ball and free joints, whose position holds a quaternion; angular velocities are in the link's own frame."""

    _quaternion: Tensor
    _spin: Tensor
    _travelled: Tensor
    _speed: Tensor
    _free: Tensor
    _fixed: Tensor
    _offset: Tensor
    _anchor: Tensor

    def __init__(self, links: Sequence[Link], dtype: torch.dtype) -> None:
        super().__init__()
        # A free joint's position and velocity come before its rotation.
        skips = [3 * (link.kind == "free") for link in links]
        for name, width, starts in (
            ("_quaternion", 4, [link.qpos_address + skip for link, skip in zip(links, skips, strict=True)]),
            ("_spin", 3, [link.dof_address + skip for link, skip in zip(links, skips, strict=True)]),
            ("_travelled", 3, [link.qpos_address for link in links]),
            ("_speed", 3, [link.dof_address for link in links]),
        ):
            index_buffer(self, name, [[start + step for step in range(width)] for start in starts])
        buffer(self, "_free", [[link.kind == "free"] for link in links], dtype)
        buffer(self, "_fixed", [rotation_of(link.quaternion) for link in links], dtype)
        buffer(
            self,
            "_offset",
            [np.array(link.position) + rotation_of(link.quaternion) @ np.array(link.anchor) for link in links],
            dtype,
        )
        buffer(self, "_anchor", [np.array(link.anchor)[:, None] for link in links], dtype)

    def forward(self, qpos: Tensor, qvel: Tensor | None) -> Tensor:
        rotation = self._fixed @ rotation_matrices(qpos[..., self._quaternion])
        lever = (rotation @ self._anchor).squeeze(-1)
        position = self._offset - lever + self._free * qpos[..., self._travelled]
        frame = torch.cat([rotation, position.unsqueeze(-1)], dim=-1)
        if qvel is None:
            return frame
        angular = (rotation @ qvel[..., self._spin].unsqueeze(-1)).squeeze(-1)
        linear = self._free * qvel[..., self._speed] - torch.linalg.cross(angular, lever)
        return torch.cat([frame, torch.stack([angular, linear], dim=-1)], dim=-1)


class Points(nn.Module):
    """Points fixed to links.

    Attributes:
      links: `(points,)`: the world is -1.
      local: in the links' frames, `(points, 3, 1)`, in metres.
    """

    links: Tensor
    local: Tensor

    def __init__(self, frames: Sequence[Frame], offsets: Sequence[Sequence[float]] | None = None) -> None:
        """`offsets`, in metres and in each frame's own axes, are zero unless given."""
        super().__init__()
        offsets = [(0.0, 0.0, 0.0)] * len(frames) if offsets is None else offsets
        local = [
            np.array(frame.position) + rotation_of(frame.quaternion) @ np.array(offset)
            for frame, offset in zip(frames, offsets, strict=True)
        ]
        index_buffer(self, "links", [frame.link for frame in frames])
        buffer(self, "local", np.array(local).reshape(-1, 3, 1))

    def forward(self, poses: Poses) -> Tensor:
        """Positions in the world's frame, `(..., points, 3)`."""
        return poses.position.index_select(-2, self._index(poses)) + self._arms(poses)

    def at(self, poses: Poses, sample: Tensor, which: Tensor) -> Tensor:
        """Single points, `(n, 3)`, of a batch of one leading dimension; `sample` and `which` are indices, `(n,)`."""
        links = self._index(poses)[which]
        return poses.position[sample, links] + (poses.rotation[sample, links] @ self.local[which]).squeeze(-1)

    def velocities(self, poses: Poses, velocities: Velocities) -> Tensor:
        """Velocities in the world's frame, `(..., points, 3)`."""
        links = self._index(poses)
        spin = velocities.angular.index_select(-2, links)
        return velocities.linear.index_select(-2, links) + torch.linalg.cross(spin, self._arms(poses))

    def _index(self, poses: Poses) -> Tensor:
        return self.links % poses.position.shape[-2]  # The world is -1, the last.

    def _arms(self, poses: Poses) -> Tensor:
        return (poses.rotation.index_select(-3, self._index(poses)) @ self.local).squeeze(-1)


def batch_last(poses: Poses) -> tuple[Tensor, Tensor]:
    """Positions `(3, links + 1, batch)` and rotations `(3, 3, links + 1, batch)`: how `Kinematics` lays them out."""
    links, batch = poses.position.shape[-2], poses.position.shape[:-2].numel()
    position = poses.position.reshape(batch, links, 3).permute(2, 1, 0)
    return position, poses.rotation.reshape(batch, links, 3, 3).permute(2, 3, 1, 0)
