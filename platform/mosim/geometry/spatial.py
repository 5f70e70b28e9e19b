"""Vectors and rotations of whole batches, and the constants that go with them."""

from collections.abc import Sequence

import mujoco
import numpy as np
import torch
from torch import Tensor, nn


def product(left: Tensor, right: Tensor) -> Tensor:
    """The matrix product of `(3, 3, ...)` and `(3, columns, ...)`."""
    first, second, third = left.unsqueeze(2).unbind(1)
    return first * right[0] + second * right[1] + third * right[2]


def cross_product(left: Tensor, right: Tensor, dim: int = -1) -> Tensor:
    """Of vectors along `dim`; of many, faster than `torch.linalg.cross`."""
    x, y, z = left.unbind(dim)
    u, v, w = right.unbind(dim)
    return torch.stack([y * w - z * v, z * u - x * w, x * v - y * u], dim=dim)


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


def cross_matrix(vector: np.ndarray) -> np.ndarray:
    """The matrix, `(3, 3)`, whose product with another vector is the cross product with it."""
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def twist_matrices(twist: Tensor) -> Tensor:
    """How twists move places: `(..., 3, 4)`, whose product with a place `[x, y, z, 1]` is the velocity there.

    Args:
      twist: `(..., 6)`: angular velocity, then the velocity of what is at the origin; a spatial motion vector of
        Featherstone, "Rigid Body Dynamics Algorithms" (2008), section 2.2.
    """
    p, q, r, x, y, z = twist.unbind(-1)
    nothing = torch.zeros_like(p)
    return torch.stack([nothing, -r, q, x, r, nothing, -p, y, -q, p, nothing, z], dim=-1).unflatten(-1, (3, 4))


def wrenches(moments: Tensor) -> Tensor:
    """What forces on places do to twists: `(..., 6)`, torque about the origin, then force.

    The power on a twist is its inner product with the wrench, and the sum of products of its matrix with `moments`.

    Args:
      moments: `(..., 3, 4)`: the sum over places of each one's force times its `[x, y, z, 1]`.
    """
    arms = moments[..., :3]
    torque = [arms[..., 2, 1] - arms[..., 1, 2], arms[..., 0, 2] - arms[..., 2, 0], arms[..., 1, 0] - arms[..., 0, 1]]
    return torch.cat([torch.stack(torque, dim=-1), moments[..., 3]], dim=-1)


def motion_cross_product(twist: Tensor, other: Tensor) -> Tensor:
    """How `other`, carried along by `twist`, changes, `(..., 6)`: Featherstone's `v x m`, equation 2.31."""
    angular = torch.cat([twist[..., :3]] * 2, dim=-1).unflatten(-1, (2, 3))
    first, second = cross_product(angular, other.unflatten(-1, (2, 3))).unbind(-2)
    return torch.cat([first, second + cross_product(twist[..., 3:], other[..., :3])], dim=-1)


def buffer(module: nn.Module, name: str, values: Sequence | np.ndarray, dtype: torch.dtype = torch.float32) -> None:
    """Gives a module a constant, which moves with it to a device and is not saved."""
    module.register_buffer(name, torch.tensor(np.array(values), dtype=dtype), persistent=False)


def index_buffer(module: nn.Module, name: str, values: Sequence) -> None:
    """The same of indices."""
    module.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
