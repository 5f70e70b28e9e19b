"""Where the camera stands: the model's own if it has one that sees the robot, and along with what it films."""

import mujoco
import numpy as np

from mosim.core.errors import UnknownNameError
from mosim.robots import System

_FOLLOWING = (int(mujoco.mjtCamLight.mjCAMLIGHT_TRACK), int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM))
"""Modes of a camera that goes along with its body."""

_PREFERRED = "side"
"""Cameras of this name show a runner as it runs; dm_control's humanoid lists one from behind first."""

_STRAY = 0.45
"""How far a second robot may stray from the first before the camera goes along, as a share of half the view."""


_DISTANCE = 4.0
"""How far away a robot is filmed from that has no camera of its own, in radii."""


class Camera:
    """A camera of the model, or MuJoCo's free one where the model has none that sees the whole robot.

    `aim` puts it where one robot, the anchor, is filmed from; a second robot is filmed from the same place, so that
    what separates the two can be seen, until it would leave the picture.
    """

    def __init__(self, system: System, name: str | None = None) -> None:
        """Takes the camera called `name`, or chooses one.

        Raises:
          UnknownNameError: the model has no such camera; lists those that it has.
        """
        self._model = system.model
        self._chosen = _find(system.model, name) if name is not None else _choose(system.model)
        self._view = mujoco.MjvCamera()
        # The body whose centre of mass a free camera looks at; the world's own stays where it is.
        self._followed = 0
        if self._chosen is None:
            mujoco.mjv_defaultFreeCamera(self._model, self._view)
            if _travels(system):
                self._followed = int(self._model.body_rootid[self._model.jnt_bodyid[0]])
                # Not MuJoCo's own distance, from which the whole floor can be seen.
                self._view.distance = _DISTANCE * _radius(self._model, self._followed)
        else:
            self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
            self._view.fixedcamid = self._chosen

    def aim(self, data: mujoco.MjData, anchor: np.ndarray | None = None) -> tuple[mujoco.MjvCamera, np.ndarray]:
        """Points the camera at the robot of `data`, whose positions have been computed.

        Args:
          data: the robot's; a camera of the model is moved in it.
          anchor: where another robot was filmed from, as this returned it; None films this one from where it is.

        Returns:
          The camera, and where this robot is filmed from, `(3,)`, in metres.
        """
        if self._chosen is None:
            place = np.array(self._view.lookat)
            if self._followed:
                place = np.array(data.subtree_com[self._followed])
                place = _between(anchor, place, self._reach(self._view.distance, self._model.vis.global_.fovy))
                self._view.lookat[:] = place
            return self._view, place
        place = np.array(data.cam_xpos[self._chosen])
        if self._model.cam_mode[self._chosen] in _FOLLOWING:
            body = self._model.cam_bodyid[self._chosen]
            distance = float(np.linalg.norm(place - data.subtree_com[body]))
            place = _between(anchor, place, self._reach(distance, self._model.cam_fovy[self._chosen]))
            data.cam_xpos[self._chosen] = place
        return self._view, place

    @staticmethod
    def _reach(distance: float, fovy: float) -> float:
        return _STRAY * distance * float(np.tan(np.deg2rad(fovy) / 2))


def _travels(system: System) -> bool:
    """Whether the robot can go anywhere: no force depends on where it stands."""
    return any(
        joint.kind in ("slide", "free") and joint.qpos_address in system.facts.cyclic for joint in system.facts.joints
    )


def _radius(model: mujoco.MjModel, body: int) -> float:
    """How far a body and all below it reach from their centre of mass, in metres, in the model's first position."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    own = model.body_rootid[model.geom_bodyid] == body
    reach = np.linalg.norm(data.geom_xpos[own] - data.subtree_com[body], axis=1) + model.geom_rbound[own]
    return float(reach.max(initial=0.0)) or float(model.stat.extent)


def _between(anchor: np.ndarray | None, place: np.ndarray, reach: float) -> np.ndarray:
    """The anchor where `place` is within reach of it, else the nearest point from which it is."""
    if anchor is None:
        return place
    gap = place - anchor
    length = float(np.linalg.norm(gap))
    return anchor if length <= reach else anchor + gap * (1 - reach / length)


def _find(model: mujoco.MjModel, name: str) -> int:
    names = [model.camera(index).name for index in range(model.ncam)]
    if name not in names:
        raise UnknownNameError.among("camera", name, names)
    return names.index(name)


def _choose(model: mujoco.MjModel) -> int | None:
    """The side camera, or the first that stands in the world or follows a whole robot; None where there is none."""
    roots = set(model.body_rootid.tolist())
    seeing = [
        index
        for index in range(model.ncam)
        if model.cam_bodyid[index] in roots and (model.cam_mode[index] in _FOLLOWING or model.cam_bodyid[index] == 0)
    ]
    named = [index for index in seeing if model.camera(index).name == _PREFERRED]
    return next(iter(named + seeing), None)
