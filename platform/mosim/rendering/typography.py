"""Words on pictures, in the typeface of the plots."""

from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, PAPER, MUTED = (32, 33, 36), (255, 255, 255), (95, 99, 104)
"""Colours of words, of what they stand on, and of words that matter less."""

_SHADE = (16, 20, 27, 150)
"""Behind words on a picture, so that they can be read on any of it; red, green, blue, opacity."""

_PADDING = (0.55, 0.3)
"""Around words on a picture, as shares of their size."""


@lru_cache(maxsize=16)
def font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, at a size in pixels."""
    file = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", file)), size)


@lru_cache(maxsize=64)
def _badge(words: str, size: float, colour: tuple[int, int, int]) -> Image.Image:
    face = font(size)
    # Figures as wide as each other, and one height whatever the letters, so that a clock does not tremble.
    width, height = round(face.getlength(words)), round(1.2 * size)
    across, down = (round(share * size) for share in _PADDING)
    badge = Image.new("RGBA", (width + 2 * across, height + 2 * down), (0, 0, 0, 0))
    draw = ImageDraw.Draw(badge)
    draw.rounded_rectangle((0, 0, badge.width - 1, badge.height - 1), radius=badge.height // 4, fill=_SHADE)
    draw.text((across, down + height / 2), words, font=face, fill=colour, anchor="lm")
    return badge


def label(
    picture: np.ndarray, words: str, size: float, right: bool = False, colour: tuple[int, int, int] = PAPER
) -> None:
    """Writes words into a picture's upper left or upper right corner.

    Args:
      picture: `(height, width, 3)` uint8, changed in place.
      words: one line.
      size: of the letters, in pixels.
      right: whether into the right corner.
      colour: of the letters.
    """
    badge = np.asarray(_badge(words, size, colour))[: picture.shape[0], : picture.shape[1]]
    margin = round(0.5 * size)
    left = max(picture.shape[1] - badge.shape[1] - margin, 0) if right else margin
    corner = picture[margin : margin + badge.shape[0], left : left + badge.shape[1]]
    opacity = badge[: corner.shape[0], : corner.shape[1], 3:] / 255.0
    colours = badge[: corner.shape[0], : corner.shape[1], :3]
    corner[:] = np.round(opacity * colours + (1 - opacity) * corner).astype(np.uint8)
