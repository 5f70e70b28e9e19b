"""Forward kinematics of a batch of states at once, in torch: differentiable, on any device, as MuJoCo has them."""

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor, nn

from mosim.systems.skeleton import WORLD, Frame, Link, Skeleton


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

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        links = skeleton.links
        depths: list[int] = []
        for link in links:
            depths.append(0 if link.parent == WORLD else depths[link.parent] + 1)
        levels = [[i for i in range(len(links)) if depths[i] == depth] for depth in sorted(set(depths))]
        hinges = [index for index, link in enumerate(links) if link.kind in ("hinge", "slide")]
        orientations = [index for index, link in enumerate(links) if link.kind in ("free", "ball")]
        self._hinges = _Hinges([links[index] for index in hinges]) if hinges else None
        self._orientations = _Orientations([links[index] for index in orientations]) if orientations else None
        by_level = [index for level in levels for index in level]
        _index_buffer(self, "_joints", [[*hinges, *orientations].index(index) for index in by_level])
        _index_buffer(self, "_order", [*(by_level.index(index) for index in range(len(links))), len(links)])
        self._sizes = [len(level) for level in levels]
        for depth, (level, above) in enumerate(zip(levels, [[WORLD], *levels], strict=False)):
            _index_buffer(self, f"_parents{depth}", [above.index(links[index].parent) for index in level])

    def poses(self, qpos: Tensor) -> Poses:
        """Poses from `qpos` of shape `(..., nq)`, with unit quaternions."""
        return self._chain(self._local(qpos, None))[0]

    def forward(self, qpos: Tensor, qvel: Tensor) -> tuple[Poses, Velocities]:
        """Poses, and velocities from `qvel` of shape `(..., nv)`."""
        return self._chain(self._local(qpos, qvel))

    def _local(self, qpos: Tensor, qvel: Tensor | None) -> Tensor:
        """Each link in its parent: rotation, position and, given `qvel`, angular and linear velocity, as columns."""
        parts = [joints(qpos, qvel) for joints in (self._hinges, self._orientations) if joints is not None]
        together = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-3)
        return together.index_select(-3, self._joints)

    def _chain(self, local: Tensor) -> tuple[Poses, Velocities]:
        batch = local.shape[:-3]
        moves = local.shape[-1] > 4
        nothing = local.new_zeros(*batch, 1, 3)
        position, linear, angular = [nothing], [nothing], [nothing]
        rotation = [torch.eye(3, dtype=local.dtype, device=local.device).expand(*batch, 1, 3, 3)]
        for depth, own in enumerate(local.split(self._sizes, dim=-3)):
            parents = getattr(self, f"_parents{depth}")
            turned = rotation[-1].index_select(-3, parents) @ own
            offset = turned[..., 3]
            position.append(position[-1].index_select(-2, parents) + offset)
            rotation.append(turned[..., :3])
            if moves:
                spin = angular[-1].index_select(-2, parents)
                linear.append(linear[-1].index_select(-2, parents) + torch.linalg.cross(spin, offset) + turned[..., 5])
                angular.append(spin + turned[..., 4])
        poses = Poses(self._collect(position), self._collect(rotation, -3))
        return poses, Velocities(self._collect(linear), self._collect(angular)) if moves else Velocities(
            nothing, nothing
        )

    def _collect(self, levels: list[Tensor], dim: int = -2) -> Tensor:
        return torch.cat([*levels[1:], levels[0]], dim=dim).index_select(dim, self._order)


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
    _axis: Tensor
    _lever: Tensor
    _slide: Tensor

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__()
        _index_buffer(self, "_qpos", [link.qpos_address for link in links])
        _index_buffer(self, "_dofs", [link.dof_address for link in links])
        parts: dict[str, list] = {name: [] for name in ("_fixed", "_first", "_second", "_axis", "_lever", "_slide")}
        for link in links:
            rotation = rotation_of(link.quaternion)
            axis, anchor, position = (np.array(part)[:, None] for part in (link.axis, link.anchor, link.position))
            turns = float(link.kind == "hinge")
            cross = turns * _cross_matrix(axis[:, 0])
            slide = (1 - turns) * rotation @ axis
            parts["_fixed"].append(np.hstack([rotation, position]))
            parts["_first"].append(np.hstack([rotation @ cross, slide - rotation @ cross @ anchor]))
            parts["_second"].append(np.hstack([rotation @ cross @ cross, -rotation @ cross @ cross @ anchor]))
            parts["_axis"].append(turns * axis)
            parts["_lever"].append(-cross @ anchor)
            parts["_slide"].append(slide)
        for name, rows in parts.items():
            _buffer(self, name, rows)
        _buffer(self, "_turns", [link.kind == "hinge" for link in links])
        _buffer(self, "_reference", [link.reference for link in links])

    def forward(self, qpos: Tensor, qvel: Tensor | None) -> Tensor:
        moved = qpos.index_select(-1, self._qpos) - self._reference
        first = torch.where(self._turns > 0, torch.sin(moved), moved)[..., None, None]
        second = (1 - torch.cos(moved))[..., None, None]
        frame = self._fixed + first * self._first + second * self._second
        if qvel is None:
            return frame
        rate = qvel.index_select(-1, self._dofs)[..., None, None]
        # An axis is the same before and after the turn about it.
        angular = self._fixed[..., :3] @ self._axis
        linear = frame[..., :3] @ self._lever + self._slide
        return torch.cat([frame, rate * angular, rate * linear], dim=-1)


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

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__()
        # A free joint's position and velocity come before its rotation.
        skips = [3 * (link.kind == "free") for link in links]
        for name, width, starts in (
            ("_quaternion", 4, [link.qpos_address + skip for link, skip in zip(links, skips, strict=True)]),
            ("_spin", 3, [link.dof_address + skip for link, skip in zip(links, skips, strict=True)]),
            ("_travelled", 3, [link.qpos_address for link in links]),
            ("_speed", 3, [link.dof_address for link in links]),
        ):
            _index_buffer(self, name, [[start + step for step in range(width)] for start in starts])
        _buffer(self, "_free", [[link.kind == "free"] for link in links])
        _buffer(self, "_fixed", [rotation_of(link.quaternion) for link in links])
        _buffer(
            self,
            "_offset",
            [np.array(link.position) + rotation_of(link.quaternion) @ np.array(link.anchor) for link in links],
        )
        _buffer(self, "_anchor", [np.array(link.anchor)[:, None] for link in links])

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
    """Points fixed to links."""

    _links: Tensor
    _local: Tensor

    def __init__(self, frames: Sequence[Frame], offsets: Sequence[Sequence[float]] | None = None) -> None:
        """`offsets`, in metres and in each frame's own axes, are zero unless given."""
        super().__init__()
        offsets = [(0.0, 0.0, 0.0)] * len(frames) if offsets is None else offsets
        local = [
            np.array(frame.position) + rotation_of(frame.quaternion) @ np.array(offset)
            for frame, offset in zip(frames, offsets, strict=True)
        ]
        _index_buffer(self, "_links", [frame.link for frame in frames])
        _buffer(self, "_local", np.array(local).reshape(-1, 3, 1))

    def forward(self, poses: Poses) -> Tensor:
        """Positions in the world's frame, `(..., points, 3)`."""
        return poses.position.index_select(-2, self._index(poses)) + self._arms(poses)

    def velocities(self, poses: Poses, velocities: Velocities) -> Tensor:
        """Velocities in the world's frame, `(..., points, 3)`."""
        links = self._index(poses)
        spin = velocities.angular.index_select(-2, links)
        return velocities.linear.index_select(-2, links) + torch.linalg.cross(spin, self._arms(poses))

    def _index(self, poses: Poses) -> Tensor:
        return self._links % poses.position.shape[-2]  # The world is -1, the last.

    def _arms(self, poses: Poses) -> Tensor:
        return (poses.rotation.index_select(-3, self._index(poses)) @ self._local).squeeze(-1)


class Jacobians(nn.Module):
    """How points move with each degree of freedom; matches MuJoCo's `mj_jac`.

    Attributes:
      moves: `(links + 1, nv)`: 1 where a degree of freedom moves a link; the last link is the world.
    """

    moves: Tensor
    _links: Tensor
    _axis: Tensor
    _anchor: Tensor
    _turns: Tensor
    _world: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
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
        _index_buffer(self, "_links", links)
        _buffer(self, "moves", moves)
        for name, rows in (("_axis", axes), ("_anchor", anchors), ("_turns", turns), ("_world", world)):
            _buffer(self, name, rows)

    def forward(self, poses: Poses, position: Tensor, moved: Tensor) -> Tensor:
        """Jacobians of points in the world's frame, `(..., points, nv, 3)`.

        Args:
          poses: of the links.
          position: of the points, `(..., points, 3)`, in metres.
          moved: `(..., points, nv)`: rows of `moves` of the links that they are fixed to; or the difference of two such
            rows, for the velocity of one link against another at a point where they touch.
        """
        rotation = poses.rotation.index_select(-3, self._links)
        center = poses.position.index_select(-2, self._links) + (rotation @ self._anchor).squeeze(-1)
        axis = (rotation @ self._axis).squeeze(-1)
        axis = axis + self._world * (self._axis.squeeze(-1) - axis)
        arm = position.unsqueeze(-2) - center.unsqueeze(-3)
        turning = torch.linalg.cross((self._turns * axis).unsqueeze(-3).expand_as(arm), arm)
        return (turning + ((1 - self._turns) * axis).unsqueeze(-3)) * moved.unsqueeze(-1)


def rotation_matrices(quaternion: Tensor) -> Tensor:
    """The rotation matrix, `(..., 3, 3)`, of unit quaternions `[w, x, y, z]`."""
    w, x, y, z = quaternion.unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=-1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def rotation_of(quaternion: Sequence[float]) -> np.ndarray:
    """The rotation matrix of one unit quaternion, float64."""
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, np.array(quaternion, np.float64))
    return flat.reshape(3, 3)


def _cross_matrix(vector: np.ndarray) -> np.ndarray:
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def _buffer(module: nn.Module, name: str, values: Sequence | np.ndarray) -> None:
    module.register_buffer(name, torch.tensor(np.array(values), dtype=torch.float32), persistent=False)


def _index_buffer(module: nn.Module, name: str, values: Sequence) -> None:
    module.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
