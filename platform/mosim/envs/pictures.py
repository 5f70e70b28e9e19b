"""What `render` shows of a batch of envs."""

import numpy as np

from mosim.core.errors import MosimError
from mosim.rendering import Renderer, require_opengl
from mosim.tasks import Task

RENDER_MODE = "rgb_array"


class Pictures:
    """Draws the envs of a batch, each by a renderer of its own, opened when it is first drawn."""

    def __init__(self, task: Task, width: int, height: int) -> None:
        """Checks that there can be any.

        Raises:
          NoOpenGLError: nothing can be drawn here.
        """
        require_opengl()
        self._task, self._size = task, (width, height)
        self._renderers: dict[int, tuple[bytes, Renderer]] = {}

    def draw(self, states: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, ...]:
        """Draws states, `(envs, nq + nv)`, in the contexts of their episodes, `(envs, context_size)`."""
        rows = zip(states, contexts, strict=True)
        return tuple(self._renderer(env, context).draw(state)[0] for env, (state, context) in enumerate(rows))

    def close(self) -> None:
        """Lets go of OpenGL."""
        for _, renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _renderer(self, env: int, context: np.ndarray) -> Renderer:
        """That of an env. What a context says, such as where the target is, is part of the renderer's model."""
        key, kept = context.tobytes(), self._renderers.get(env)
        if kept is not None:
            if kept[0] == key:
                return kept[1]
            kept[1].close()
        renderer = Renderer(self._task, *self._size, context)
        self._renderers[env] = key, renderer
        return renderer


def pictures_of(task: Task, render_mode: str | None, width: int, height: int) -> Pictures | None:
    """What draws a task's envs in a render mode; None where none is wanted.

    Raises:
      MosimError: there is no such mode; `NoOpenGLError`: nothing can be drawn here.
    """
    if render_mode is None:
        return None
    if render_mode != RENDER_MODE:
        raise MosimError(
            f"render_mode {render_mode!r} is unknown; it must be {RENDER_MODE!r}, or None for no rendering."
        )
    return Pictures(task, width, height)
