"""Pictures of a system's states, drawn by MuJoCo's own renderer."""

import copy
from types import TracebackType

import mujoco
import numpy as np

from mosim.rendering.camera import Camera
from mosim.rendering.opengl import offscreen_context
from mosim.robots import System

_MAX_GEOMS = 2000
"""In a scene, MuJoCo's own decorations included."""

_STAR = 24
"""How much brighter than its neighbours, of 255, a point of the sky is that counts as a star."""

_LARGEST_STAR = 3
"""Points of the sky that a star is wide at most."""


class Renderer:
    """Draws states of one system; a context manager, since OpenGL wants its contexts closed.

    Attributes:
      width, height: of a picture, in pixels.
    """

    def __init__(
        self, system: System, width: int, height: int, context: np.ndarray | None = None, camera: str | None = None
    ) -> None:
        """Opens it.

        Args:
          system: whose states are drawn.
          width: in pixels, 1 or more.
          height: likewise.
          context: of the episode, `(context_size,)`, such as where the target is; None or empty for the model as it is.
          camera: one of the model's cameras; None chooses.

        Raises:
          NoOpenGLError: nothing can be drawn here.
          UnknownNameError: the model has no such camera.
        """
        self.width, self.height = width, height
        self._model = copy.copy(system.model)  # Its framebuffer is made larger, and a context may be written into it.
        self._data = mujoco.MjData(self._model)
        if context is not None:
            system.write_context(context, self._model, self._data)
        _put_out_stars(self._model)
        self._model.vis.global_.offwidth = max(width, self._model.vis.global_.offwidth)
        self._model.vis.global_.offheight = max(height, self._model.vis.global_.offheight)
        self._layout = system.facts.layout
        self._camera = Camera(system, camera)
        self._option, self._rect = mujoco.MjvOption(), mujoco.MjrRect(0, 0, width, height)
        self._opengl = offscreen_context(width, height)
        self._scene = mujoco.MjvScene(self._model, _MAX_GEOMS)
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)

    def draw(self, state: np.ndarray, anchor: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Draws a state.

        Args:
          state: `[qpos, qvel]`, `(nq + nv,)`, finite.
          anchor: where another robot was filmed from; see `Camera`.

        Returns:
          The picture, `(height, width, 3)` uint8, and where it was taken from.
        """
        data = self._data
        self._layout.write(state, data)
        # Not mj_forward, which writes warnings of wild states into a log file, and whose forces nobody sees.
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_comPos(self._model, data)
        mujoco.mj_camlight(self._model, data)
        mujoco.mj_tendon(self._model, data)
        view, place = self._camera.aim(data, anchor)
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, view, every, self._scene)
        self._opengl.make_current()
        mujoco.mjr_render(self._rect, self._scene, self._context)
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rect, self._context)
        return np.flipud(pixels), place

    def close(self) -> None:
        """Lets go of OpenGL."""
        self._context.free()
        self._opengl.free()

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _put_out_stars(model: mujoco.MjModel) -> None:
    """Leaves the sky's gradient alone: on dm_control's stars words are hard to read, and films of them are large."""
    for texture in np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX)):
        shape = model.tex_height[texture], model.tex_width[texture], model.tex_nchannel[texture]
        start = model.tex_adr[texture]
        sky = model.tex_data[start : start + np.prod(shape)].reshape(shape)
        for _ in range(_LARGEST_STAR):
            points = sky.astype(np.int16).max(axis=-1)
            before, after = np.roll(points, 1, axis=1), np.roll(points, -1, axis=1)
            stars = points > np.minimum(before, after) + _STAR
            darker = np.where((before <= after)[..., None], np.roll(sky, 1, axis=1), np.roll(sky, -1, axis=1))
            sky[stars] = darker[stars]
