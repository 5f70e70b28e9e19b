"""Contact sheets: moments of a film side by side, for papers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mosim.core.errors import MosimError
from mosim.core.files import atomic_path
from mosim.rendering.typography import INK, MUTED, PAPER, font

SHEET_SUFFIX = ".png"

_DOTS_PER_INCH = 300


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    names: Sequence[str],
    heads: Sequence[str],
    notes: Sequence[str],
    letters: float,
    colour: str,
) -> np.ndarray:
    """Puts pictures side by side.

    Args:
      rows: as many rows as names, as many pictures in each as heads; all `(height, width, 3)` uint8, of one size.
      names: of the rows, written upright beside them.
      heads: above the columns.
      notes: below the columns.
      letters: size of the letters, in pixels.
      colour: of the notes.

    Returns:
      The sheet, `(height, width, 3)` uint8, on white.
    """
    height, width = rows[0][0].shape[:2]
    gap, face, small = round(0.35 * letters), font(letters), font(0.9 * letters)
    left, top, bottom = round(1.7 * letters), round(1.7 * letters), round(1.7 * letters)
    size = (
        left + len(heads) * (width + gap) - gap,
        top + len(rows) * (height + gap) - gap + bottom,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, (head, note) in enumerate(zip(heads, notes, strict=True)):
        across = left + column * (width + gap)
        draw.text((across + width / 2, top - 0.5 * letters), head, font=face, fill=INK, anchor="ms")
        draw.text((across + width / 2, size[1] - 0.5 * letters), note, font=small, fill=colour, anchor="ms")
        for row, pictures in enumerate(rows):
            sheet.paste(Image.fromarray(pictures[column]), (across, top + row * (height + gap)))
    for row, name in enumerate(names):
        upright = Image.new("RGB", (height, left), PAPER)
        ImageDraw.Draw(upright).text((height / 2, 0.5 * left), name, font=face, fill=MUTED, anchor="mm")
        sheet.paste(upright.rotate(90, expand=True), (0, top + row * (height + gap)))
    return np.asarray(sheet)


def write_sheet(path: Path, sheet: np.ndarray) -> None:
    """Writes a sheet as PNG, whole or not at all.

    Raises:
      MosimError: the name does not end in `.png`.
    """
    require_sheet_name(path)
    with atomic_path(path) as aside:
        Image.fromarray(sheet).save(aside, dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH))


def require_sheet_name(path: Path) -> None:
    """Checks a contact sheet's name.

    Raises:
      MosimError: it does not end in `.png`.
    """
    if path.suffix.lower() != SHEET_SUFFIX:
        raise MosimError(f"{path} is not a valid name for a contact sheet; give one that ends in {SHEET_SUFFIX}.")
