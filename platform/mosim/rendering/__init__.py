"""Pictures of states: MuJoCo's renderer without a window, films with a strip under them, contact sheets."""

from typing import TYPE_CHECKING

from mosim.core.lazy_names import lazy_names
from mosim.rendering.camera import Camera
from mosim.rendering.film import FILM_SUFFIX, frame_steps, require_film_name, write_film
from mosim.rendering.opengl import NoOpenGLError, offscreen_context, require_opengl
from mosim.rendering.renderer import Renderer

if TYPE_CHECKING:
    from mosim.rendering.sheet import SHEET_SUFFIX, contact_sheet, require_sheet_name, write_sheet
    from mosim.rendering.strip import Strip, StripLine
    from mosim.rendering.typography import label

__all__ = [
    "FILM_SUFFIX",
    "SHEET_SUFFIX",
    "Camera",
    "NoOpenGLError",
    "Renderer",
    "Strip",
    "StripLine",
    "contact_sheet",
    "frame_steps",
    "label",
    "offscreen_context",
    "require_film_name",
    "require_opengl",
    "require_sheet_name",
    "write_film",
    "write_sheet",
]

# What draws plots imports matplotlib, which an environment has no need of.
__getattr__ = lazy_names(
    __name__,
    {
        "SHEET_SUFFIX": "sheet",
        "Strip": "strip",
        "StripLine": "strip",
        "contact_sheet": "sheet",
        "label": "typography",
        "require_sheet_name": "sheet",
        "write_sheet": "sheet",
    },
)
