"""Kinematics of a robot that moves in the world's x-z plane: a few matrix products for a whole batch."""

import mujoco
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PLANE = [0, 2]
"""The axes of the plane in MuJoCo's coordinates: x forward, z up."""


class PlanarBody(nn.Module):
    """Angles of a planar robot's bodies and the velocity of its centre of mass, float64.

    The robot slides along x and z, by joints of bodies that hang on the world, and all its hinges turn about y; in its
    reference pose the frames of its bodies are the world's. A body's angle is then a sum of joint positions, and any
    point is linear in the slides and in the cosines and sines of these angles.
    """

    _turns: Tensor
    _turned: Tensor
    _slides: Tensor
    _arms: Tensor
    _normals: Tensor

    def __init__(self, model: mujoco.MjModel) -> None:
        super().__init__()
        turns = _turns(model)
        slides, arms = _center(model, model.body_mass / model.body_mass.sum())
        normals = np.stack([arms[:, 1], -arms[:, 0]], axis=-1)
        self._constant("_turns", turns.T)
        self._constant("_turned", -model.qpos0 @ turns)
        self._constant("_slides", slides.T)
        self._constant("_arms", arms.T)
        self._constant("_normals", normals.T)

    def _constant(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)

    def directions(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the bodies' angles about y, the world left out, `(batch, bodies)` each."""
        angles = F.linear(qpos, self._turns, self._turned)
        return torch.cos(angles), torch.sin(angles)

    def center_velocity(self, qvel: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Velocity of the centre of mass along x and z, in metres a second, `(batch, 2)`."""
        rates = F.linear(qvel, self._turns)
        turning = F.linear(rates * cosines, self._normals) - F.linear(rates * sines, self._arms)
        return F.linear(qvel, self._slides) + turning


class HeightDifference(nn.Module):
    """How far one body's centre of mass stands above another's, in metres: `(batch,)`, float64.

    Args:
      model: of a robot as `PlanarBody` takes it, whose slides move both bodies.
      upper, lower: names of the bodies.
    """

    _arms: Tensor

    def __init__(self, model: mujoco.MjModel, upper: str, lower: str) -> None:
        super().__init__()
        weights = np.zeros(model.nbody)
        weights[model.body(upper).id], weights[model.body(lower).id] = 1, -1
        self.register_buffer("_arms", torch.from_numpy(_center(model, weights)[1].T.copy()), persistent=False)

    def forward(self, cosines: Tensor, sines: Tensor) -> Tensor:
        """See above; both arguments as `PlanarBody.directions` gives them."""
        forward, up = self._arms
        return F.linear(cosines, up) - F.linear(sines, forward)


def _turns(model: mujoco.MjModel) -> np.ndarray:
    """How much of each joint's position is in each body's angle, `(nq, bodies)`."""
    turns = np.zeros((model.nq, model.nbody))
    for body in range(1, model.nbody):
        turns[:, body] = turns[:, model.body_parentid[body]]
        for joint in _joints(model, body, mujoco.mjtJoint.mjJNT_HINGE):
            turns[model.jnt_qposadr[joint], body] += model.jnt_axis[joint, 1]
    return turns[:, 1:]


def _center(model: mujoco.MjModel, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the bodies' centres of mass, each with its weight, `(nbody,)`, as a sum over joints and bodies.

    Returns:
      What each slide moves it by, `(nq, 2)`, and the arm that turns with each body, `(bodies, 2)`.
    """
    slides, arms = np.zeros((model.nq, 2)), np.zeros((model.nbody, 2))
    for body in range(1, model.nbody):
        share = weights[body]
        arm, frame = model.body_ipos[body, _PLANE], body
        while frame:
            for joint in _joints(model, frame, mujoco.mjtJoint.mjJNT_SLIDE):
                slides[model.jnt_qposadr[joint]] += share * model.jnt_axis[joint, _PLANE]
            hinges = _joints(model, frame, mujoco.mjtJoint.mjJNT_HINGE)
            anchor = model.jnt_pos[hinges][:, _PLANE].sum(axis=0)
            arms[frame] += share * (arm - anchor)
            arm, frame = model.body_pos[frame, _PLANE] + anchor, model.body_parentid[frame]
    return slides, arms[1:]


def _joints(model: mujoco.MjModel, body: int, kind: mujoco.mjtJoint) -> list[int]:
    first = int(model.body_jntadr[body])
    return [joint for joint in range(first, first + int(model.body_jntnum[body])) if model.jnt_type[joint] == kind]
