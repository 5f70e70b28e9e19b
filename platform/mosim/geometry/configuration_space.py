"""Positions and velocities of a system as batched torch operations, quaternions included.

Matches MuJoCo: a free joint's linear velocity is in the world's frame, angular velocities are in the body's frame, and
quaternions are `[w, x, y, z]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mosim.core.shapes import Qpos, Qvel, State
from mosim.geometry.joints import DOF_WIDTH, QPOS_WIDTH, JointFacts
from mosim.geometry.spatial import rotation_matrices


@dataclass(frozen=True)
class _Segment:
    rotation: bool
    qpos: slice
    dof: slice


class ConfigurationSpace(nn.Module):
    """Which parts of `qpos` are numbers and which are quaternions, and how a velocity moves both."""

    def __init__(self, joints: Sequence[JointFacts]) -> None:
        super().__init__()
        self.nq = sum(QPOS_WIDTH[joint.kind] for joint in joints)
        self.nv = sum(DOF_WIDTH[joint.kind] for joint in joints)
        self._segments = _segments(joints)
        self.flat = not any(segment.rotation for segment in self._segments)

    def split(self, state: State) -> tuple[Qpos, Qvel]:
        """`qpos` of shape `(..., nq)` and `qvel` of shape `(..., nv)` of a state."""
        return state[..., : self.nq], state[..., self.nq :]

    def integrate(self, qpos: Qpos, displacement: Qvel) -> Qpos:
        """Moves `qpos` by `displacement`, of shape `(..., nv)` (velocity times time); as `mj_integratePos`."""
        if self.flat:
            return qpos + displacement
        return torch.cat(
            [
                quaternion_multiply(part, quaternion_exponential(move)) if segment.rotation else part + move
                for segment, part, move in self._parts(qpos, displacement)
            ],
            dim=-1,
        )

    def derivative(self, qpos: Qpos, qvel: Qvel) -> Qpos:
        """The time derivative of `qpos`, of shape `(..., nq)`: `1/2 quat * [0, omega]` for orientations."""
        if self.flat:
            return qvel
        return torch.cat(
            [
                0.5 * quaternion_multiply(part, torch.cat([torch.zeros_like(move[..., :1]), move], dim=-1))
                if segment.rotation
                else move
                for segment, part, move in self._parts(qpos, qvel)
            ],
            dim=-1,
        )

    def difference(self, start: Qpos, end: Qpos) -> Qvel:
        """The displacement, of shape `(..., nv)`, that moves `start` to `end`; as `mj_differentiatePos`."""
        if self.flat:
            return end - start
        return torch.cat(
            [
                quaternion_logarithm(quaternion_multiply(quaternion_conjugate(a), b)) if segment.rotation else b - a
                for segment, a, b in (
                    (segment, start[..., segment.qpos], end[..., segment.qpos]) for segment in self._segments
                )
            ],
            dim=-1,
        )

    def normalise(self, qpos: Qpos) -> Qpos:
        """`qpos` with every quaternion at unit length."""
        if self.flat:
            return qpos
        return torch.cat(
            [
                nn.functional.normalize(qpos[..., segment.qpos], dim=-1)
                if segment.rotation
                else qpos[..., segment.qpos]
                for segment in self._segments
            ],
            dim=-1,
        )

    def rotations(self, qpos: Qpos) -> list[Tensor]:
        """The rotation matrix, `(..., 9)`, of each ball and free joint."""
        orientations = [segment.qpos for segment in self._segments if segment.rotation]
        return [rotation_matrices(qpos[..., orientation]).flatten(-2) for orientation in orientations]

    def _parts(self, qpos: Tensor, move: Tensor) -> list[tuple[_Segment, Tensor, Tensor]]:
        return [(segment, qpos[..., segment.qpos], move[..., segment.dof]) for segment in self._segments]


def _segments(joints: Sequence[JointFacts]) -> tuple[_Segment, ...]:
    """Runs of plain coordinates, and single quaternions, in the order of `qpos`."""
    runs: list[list[int]] = []  # rotation?, first qpos, end qpos, first dof, end dof
    for joint in joints:
        q, v = joint.qpos_address, joint.dof_address
        pieces = {
            "free": [(False, 3, 3), (True, 4, 3)],
            "ball": [(True, 4, 3)],
        }.get(joint.kind, [(False, QPOS_WIDTH[joint.kind], DOF_WIDTH[joint.kind])])
        for rotation, wide, dofs in pieces:
            if not rotation and runs and not runs[-1][0]:
                runs[-1][2] += wide
                runs[-1][4] += dofs
            else:
                runs.append([int(rotation), q, q + wide, v, v + dofs])
            q, v = q + wide, v + dofs
    return tuple(_Segment(bool(rotation), slice(q, q_end), slice(v, v_end)) for rotation, q, q_end, v, v_end in runs)


def quaternion_multiply(left: Tensor, right: Tensor) -> Tensor:
    """The product of quaternions `(..., 4)`."""
    w1, x1, y1, z1 = left.unbind(-1)
    w2, x2, y2, z2 = right.unbind(-1)
    return torch.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        dim=-1,
    )


def quaternion_conjugate(quaternion: Tensor) -> Tensor:
    """The conjugate, which for unit quaternions is the inverse."""
    return torch.cat([quaternion[..., :1], -quaternion[..., 1:]], dim=-1)


def quaternion_exponential(rotation: Tensor) -> Tensor:
    """The unit quaternion of a rotation vector `(..., 3)`, in radians."""
    squared = rotation.square().sum(-1, keepdim=True)
    half = 0.5 * squared.clamp_min(1e-16).sqrt()
    # sin(half) / angle, by its series where the angle is too small to divide by.
    scale = torch.where(squared > 1e-8, torch.sin(half) / (2 * half), 0.5 - squared / 48)
    return torch.cat([torch.where(squared > 1e-8, torch.cos(half), 1 - squared / 8), scale * rotation], dim=-1)


def quaternion_logarithm(quaternion: Tensor) -> Tensor:
    """The rotation vector `(..., 3)`, of length at most pi, of a unit quaternion."""
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    vector = quaternion[..., 1:]
    squared = vector.square().sum(-1, keepdim=True)
    sine = squared.clamp_min(1e-16).sqrt()
    angle = 2 * torch.atan2(sine, quaternion[..., :1])
    return torch.where(squared > 1e-8, angle / sine, 2 + squared / 3) * vector
