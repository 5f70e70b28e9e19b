"""Where a fluid may drag bodies: in which frames MuJoCo's inertia boxes can be, as shapes alone say."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from mosim.geometry import WORLD, Frame, Skeleton, rotation_of
from mosim.models.mosim.tree.guessed_masses import pseudo_inertia_of

NUMBERS = 8
"""Of a place: quadratic drag of three turns and of three slides, and viscosity of all turns and of all slides."""

TURNS, SLIDES, VISCOUS_TURN, VISCOUS_SLIDE = slice(0, 3), slice(3, 6), 6, 7

_SAME = 1e-6
"""Metres, or entries of a rotation, by which two frames may differ and yet be one."""


class DragPlace(NamedTuple):
    """A frame in which a fluid may drag a body.

    Attributes:
      body: its index in the skeleton.
      name: the body's, or the body's and the shape's.
      link: which the frame is fixed to.
      pose: of the frame in the link's, `(4, 4)`, homogeneous.
    """

    body: int
    name: str
    link: int
    pose: np.ndarray


def drag_places(skeleton: Skeleton) -> Iterator[DragPlace]:
    """At each body that moves, one for all of its shapes together, and one in the frame of each shape.

    The frame of a body's inertia depends on how mass is spread: it is that of one shape where this alone has mass, and
    that of all where they have one density. A body without shapes has its own.
    """
    for index, body in enumerate(skeleton.bodies):
        if body.link == WORLD:
            continue
        name, shapes = body.name or f"body{index + 1}", [shape for shape in skeleton.shapes if shape.body == index]
        poses = {shape.frame.name: pose_of(shape.frame) for shape in shapes}
        if len(shapes) > 1:
            poses = {"": _principal(body, np.sum([pseudo_inertia_of(shape) for shape in shapes], axis=0))} | poses
        found: list[np.ndarray] = []
        for of, pose in (poses or {"": pose_of(body)}).items():
            if all(common_axes(pose, other) is None for other in found):
                yield DragPlace(index, f"{name}/{of}" if found else name, body.link, pose)
                found.append(pose)


def first_alike(places: Sequence[DragPlace]) -> np.ndarray:
    """Of each number of each place, `(places, NUMBERS)`, the first that does the same on its link, counted in rows.

    Drag of turns about the same axis is the same wherever it acts, and so is that of slides along one line.
    """
    first = np.arange(len(places) * NUMBERS).reshape(-1, NUMBERS)
    for later, place in enumerate(places):
        for earlier in range(later):
            if places[earlier].link != place.link:
                continue
            alike = _alike(place.pose, places[earlier].pose)
            found = np.where(alike, first[earlier], first[later, :, None]).min(1)
            first[later] = found
    return first


def _alike(pose: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which numbers of a place do what which numbers of the other do, `(NUMBERS, NUMBERS)`."""
    alike, away = np.zeros((NUMBERS, NUMBERS), dtype=bool), other[:3, 3] - pose[:3, 3]
    parallel = np.abs(np.abs(pose[:3, :3].T @ other[:3, :3]) - 1) < _SAME
    in_line = np.linalg.norm(np.cross(away, pose[:3, :3].T), axis=-1) < _SAME
    alike[TURNS, TURNS] = parallel
    alike[SLIDES, SLIDES] = parallel & in_line[:, None]
    alike[VISCOUS_TURN, VISCOUS_TURN] = True
    alike[VISCOUS_SLIDE, VISCOUS_SLIDE] = np.linalg.norm(away) < _SAME
    return alike


def pose_of(frame: Frame) -> np.ndarray:
    """A frame as a homogeneous matrix, `(4, 4)`."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation_of(frame.quaternion), frame.position
    return pose


def common_axes(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """Along which axis of the second each of the first lies, `(3,)`; None where they are not the same three lines."""
    along = np.abs(first[:3, :3].T @ second[:3, :3])
    order = along.argmax(-1)
    if np.abs(first[:3, 3] - second[:3, 3]).max() > _SAME or np.abs(along - np.eye(3)[order]).max() > _SAME:
        return None
    return order


def _principal(body: Frame, pseudo_inertia: np.ndarray) -> np.ndarray:
    """The frame of a link's pseudo-inertia's centre and axes; where these are not unique, as MuJoCo chooses them."""
    into_body = np.linalg.inv(pose_of(body))
    matrix = into_body @ pseudo_inertia @ into_body.T
    centre = matrix[:3, 3] / matrix[3, 3]
    second = matrix[:3, :3] - matrix[3, 3] * np.outer(centre, centre)
    moments, axes, quaternion = np.empty(3), np.empty(9), np.empty(4)
    mujoco.mju_eig3(moments, axes, quaternion, (np.trace(second) * np.eye(3) - second).flatten())
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = axes.reshape(3, 3), centre
    return pose_of(body) @ pose
