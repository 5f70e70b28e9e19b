"""OpenGL without a window: where there is none, a sentence says what to install."""

import importlib
import os
import sys
from typing import Any, Protocol

from mosim.core.errors import MosimError

_SWITCHED_OFF = ("disable", "disabled", "off", "false", "0")
_UNDECIDED = ("", "enable", "enabled", "on", "true", "1")
"""Values of MUJOCO_GL that name no backend."""

_INSTALL = "on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri"


class NoOpenGLError(MosimError):
    """Pictures are asked for on a machine that cannot draw them."""


class OpenGLContext(Protocol):
    """What MuJoCo's backends offer."""

    def make_current(self) -> None:
        """Makes it the one that this thread draws into."""
        ...

    def free(self) -> None:
        """Lets go of it."""
        ...


def offscreen_context(width: int, height: int) -> OpenGLContext:
    """Makes an OpenGL context of at least this many pixels, and makes it current.

    MUJOCO_GL names the backend, as everywhere in MuJoCo. Without it Linux gets EGL, which needs no screen; MuJoCo's own
    choice would be a window.

    Raises:
      NoOpenGLError: there is none; says which package to install.
    """
    reasons = []
    for backend in _backends():
        try:
            context = _backend(backend).GLContext(width, height)
            context.make_current()
        # Whatever a driver or a missing library makes of itself: ImportError, AttributeError, EGLError, RuntimeError.
        except Exception as error:
            reasons.append(f"{backend}: {_first_sentence(error)}")
            continue
        return context
    raise NoOpenGLError(f"rendering needs OpenGL, which is not available here ({'; '.join(reasons)}); {_INSTALL}.")


def require_opengl() -> None:
    """Checks that something can be drawn here, before long work for a picture begins.

    Raises:
      NoOpenGLError: nothing can.
    """
    offscreen_context(1, 1).free()


def _backends() -> tuple[str, ...]:
    """The modules of MuJoCo to try, in order."""
    named = os.environ.get("MUJOCO_GL", "").lower().strip()
    if named in _SWITCHED_OFF:
        raise NoOpenGLError(f"rendering needs OpenGL, which MUJOCO_GL={named} disables; unset it.")
    if named not in _UNDECIDED:
        return (named,)
    if sys.platform == "linux":
        return ("egl", "glfw") if "DISPLAY" in os.environ else ("egl",)
    return ("cgl",) if sys.platform == "darwin" else ("glfw",)


def _backend(name: str) -> Any:
    # By name: each fails to import where its library is missing.
    return importlib.import_module(f"mujoco.{name}")


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].partition(". ")[0].rstrip(".") if lines else type(error).__name__
