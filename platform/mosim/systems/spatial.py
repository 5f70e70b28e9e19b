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


def buffer(module: nn.Module, name: str, values: Sequence | np.ndarray) -> None:
    """Gives a module a constant in single precision, which moves with it to a device and is not saved."""
    module.register_buffer(name, torch.tensor(np.array(values), dtype=torch.float32), persistent=False)


def index_buffer(module: nn.Module, name: str, values: Sequence) -> None:
    """The same of indices."""
    module.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
