"""The strip under a film: lines over time, drawn up to the moment that the film shows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image, ImageDraw

from mosim.rendering.typography import font

_POINTS_PER_INCH = 72
_DPI = 100
_DOT_GRAIN = 4
"""The dot is drawn so many times larger, and made smaller, for a smooth edge."""

_DECADES = 0.5
"""The least that a logarithmic axis shows above and below the middle of its values."""


class StripLine(NamedTuple):
    """One line.

    Attributes:
      values: one for each of the strip's times; what is not finite, or not positive on a logarithmic axis, is left out.
      style: of matplotlib's `plot`: `label`, `color`, `linestyle`, `linewidth`.
    """

    values: np.ndarray
    style: dict[str, Any]


class Strip:
    """A plot that a film reveals from left to right. The first line carries a dot.

    Attributes:
      width, height: in pixels.
    """

    @style.context("default")  # Whatever a matplotlibrc of the working folder says.
    def __init__(
        self,
        width: int,
        height: int,
        times: np.ndarray,
        lines: Sequence[StripLine],
        title: str,
        log: bool = True,
        figure: str = "{:.2g}",
        letters: float = 11.0,
    ) -> None:
        """Draws it.

        Args:
          width: in pixels.
          height: likewise.
          times: in seconds, `(points,)`, rising.
          lines: what is drawn; the first is the one that counts.
          title: what the lines are, with their unit.
          log: whether the vertical axis is logarithmic.
          figure: how the first line's value is written beside the title.
          letters: size of the letters, in pixels.
        """
        self.width, self.height = width, height
        self._times, self._first = times, np.asarray(lines[0].values, float)
        page = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        canvas = FigureCanvasAgg(page)
        left, right = 4.2 * letters / width, 1.2 * letters / width
        bottom, top = 2.4 * letters / height, 3.4 * letters / height
        axes = page.add_axes((left, bottom, 1 - left - right, 1 - bottom - top))
        points = letters * _POINTS_PER_INCH / _DPI
        drawn = [axes.plot(times, _drawable(line.values, log), **_scaled(line.style, points))[0] for line in lines]
        _dress(axes, times, lines, log, points)
        place = (0.5 * letters / width, 1 - 0.45 * letters / height)
        page.text(*place, title, fontsize=points, color="#202124", va="top")
        if len(lines) > 1:
            page.legend(
                drawn, [line.style["label"] for line in lines], loc="upper left", frameon=False, ncols=len(lines),
                bbox_to_anchor=(left - 0.5 * letters / width, 1 - 1.55 * letters / height), fontsize=0.92 * points,
                borderpad=0, borderaxespad=0, handlelength=1.8, columnspacing=1.6,
            )  # fmt: skip
        self._whole = _pixels(canvas)
        for line in drawn:
            line.set_data([], [])
        self._empty = _pixels(canvas)
        self._axes = axes
        self._dot, self._colour = _dot(lines[0].style["color"], 0.45 * letters), lines[0].style["color"]
        self._figure, self._letters = figure, letters

    def place(self, time: float, value: float) -> tuple[float, float]:
        """Where a point is in the picture: pixels from the left and from the top."""
        across, up = self._axes.transData.transform((time, value))
        return float(across), float(self.height - up)

    def at(self, time: float) -> np.ndarray:
        """The strip as it is at a time in seconds: `(height, width, 3)` uint8."""
        edge, _ = self.place(time, self._axes.get_ylim()[0])
        left, _ = self.place(self._times[0], self._axes.get_ylim()[0])
        column = round(edge) + 1
        picture = self._empty.copy()
        start = max(round(left) - 2, 0)
        picture[:, start:column] = self._whole[:, start:column]
        seen = np.flatnonzero(self._times <= time + 1e-9)
        value = self._first[seen[-1]] if len(seen) else np.nan
        lowest, highest = self._axes.get_ylim()
        if np.isfinite(value):
            picture = self._written(picture, self._figure.format(value))
        if np.isfinite(value) and lowest <= value <= highest:
            _stamp(picture, self._dot, *self.place(float(self._times[seen[-1]]), float(value)))
        return picture

    def _written(self, picture: np.ndarray, words: str) -> np.ndarray:
        """The picture with words at the end of the title's line."""
        page = Image.fromarray(picture)
        place, face = (self.width - 1.2 * self._letters, 0.45 * self._letters), font(1.1 * self._letters, bold=True)
        ImageDraw.Draw(page).text(place, words, font=face, fill=self._colour, anchor="ra")
        return np.array(page)


def _drawable(values: np.ndarray, log: bool) -> np.ndarray:
    values = np.asarray(values, float)
    return np.where(np.isfinite(values) & ((values > 0) | (not log)), values, np.nan)


def _scaled(style: dict[str, Any], points: float) -> dict[str, Any]:
    """Line widths as for letters of 10 points."""
    return {**style, "linewidth": style.get("linewidth", 1.5) * points / 10}


def _dress(axes: Axes, times: np.ndarray, lines: Sequence[StripLine], log: bool, points: float) -> None:
    values = np.concatenate([_drawable(line.values, log) for line in lines])
    values = values[np.isfinite(values)]
    lowest, highest = (values.min(), values.max()) if len(values) else (0.1, 1.0)
    if log:
        exponents = np.log10([lowest, highest])
        middle = exponents.mean()
        limits = 10 ** np.array([min(exponents[0], middle - _DECADES), max(exponents[1], middle + _DECADES)])
        axes.set_yscale("log")
        axes.set_ylim(limits[0] / 1.6, limits[1] * 1.6)
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(LogLocator(subs=(1.0,), numticks=99))
    else:
        room = 0.08 * max(highest - lowest, 1e-9)
        axes.set_ylim(lowest - room, highest + room)
    axes.set_xlim(0, max(float(times[-1]), 1e-9))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#9AA0A6")
    axes.grid(visible=True, axis="y", which="major", color="#E8EAED", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=0.92 * points, labelcolor="#5F6368", color="#9AA0A6", length=0.3 * points, pad=2)
    axes.xaxis.set_major_formatter("{x:g} s")


def _pixels(canvas: FigureCanvasAgg) -> np.ndarray:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _dot(colour: str, radius: float) -> np.ndarray:
    size = 2 * int(np.ceil(radius)) + 2
    dot = Image.new("RGBA", (_DOT_GRAIN * size, _DOT_GRAIN * size), colour + "00")
    middle, reach = _DOT_GRAIN * size / 2, _DOT_GRAIN * radius
    ImageDraw.Draw(dot).ellipse((middle - reach, middle - reach, middle + reach, middle + reach), fill=colour)
    return np.asarray(dot.resize((size, size), Image.Resampling.LANCZOS))


def _stamp(picture: np.ndarray, stamp: np.ndarray, across: float, down: float) -> None:
    """Puts a picture with opacity onto another, its middle at these pixels, as far as it lies inside."""
    size = len(stamp)
    row, column = round(down - size / 2), round(across - size / 2)
    rows = slice(max(row, 0), min(row + size, picture.shape[0]))
    columns = slice(max(column, 0), min(column + size, picture.shape[1]))
    part = picture[rows, columns]
    cut = stamp[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column]
    opacity = cut[..., 3:] / 255.0
    part[:] = np.round(opacity * cut[..., :3] + (1 - opacity) * part).astype(np.uint8)
