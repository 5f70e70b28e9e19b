"""A robot's links as compiled C reads them (links.h)."""

import ctypes
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mosim.geometry import Skeleton, rotation_of
from mosim.models.mosim import compiled

_KINDS = ("free", "ball", "slide", "hinge")
"""As links.h numbers them."""


class Drawing(NamedTuple):
    """A skeleton's links as links.h reads them.

    Attributes:
      layout: `(links, 5)`, whole numbers: parent, or -1; kind of joint; where it begins in `qpos` and in `qvel`; which
        of the links that carry bodies it is, or -1.
      numbers: `(links, 19)`: rotation and position in the parent's frame, axis, anchor, and the joint's reference.
    """

    layout: np.ndarray
    numbers: np.ndarray


def drawing_of(skeleton: Skeleton, carriers: tuple[int, ...]) -> Drawing:
    """The drawing of a skeleton; `carriers` are the links that carry bodies."""
    layout, numbers = [], []
    for index, link in enumerate(skeleton.links):
        carrier = carriers.index(index) if index in carriers else -1
        layout.append([link.parent, _KINDS.index(link.kind), link.qpos_address, link.dof_address, carrier])
        rotation = rotation_of(link.quaternion).flatten()
        numbers.append([*rotation, *link.position, *link.axis, *link.anchor, link.reference])
    return Drawing(np.array(layout).reshape(-1, 5), np.array(numbers).reshape(-1, 19))


class Links(ctypes.Structure):
    """`Skeleton` of links.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("states", "links", "positions", "size")),
        *((name, ctypes.c_void_p) for name in ("qpos", "qvel", "layout", "drawing")),
    )


def links_of(qpos: Tensor, qvel: Tensor, layout: Tensor, drawing: Tensor) -> tuple[Links, list[Tensor]]:
    """What C reads of a batch of states, `(states, nq)` and `(states, nv)`; and the tensors whose numbers these are."""
    tensors = [
        qpos.double().contiguous(),
        qvel.double().contiguous(),
        layout.contiguous(),
        drawing.double().contiguous(),
    ]
    return Links(len(qpos), len(layout), qpos.shape[-1], qvel.shape[-1], *map(compiled.address, tensors)), tensors
