"""What the figures of papers share: the width of a column, fonts that stay text, lines and bands, and files."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from mosim_analysis import names
from mosim_analysis.names import Style
from mosim_analysis.statistics import Statistic, log_median
from mosim_analysis.summaries import over_runs
from mosim_analysis.writing import write_whole

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, NullFormatter

COLUMN_INCHES = 3.4
"""Of a two-column paper."""

_DPI = 300

_SETTINGS: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    # TrueType: what is embedded stays text, which printers and reviewers ask for.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}

_DASHES: dict[str, Any] = {"solid": "-", "dash": (0, (4, 2)), "dot": (0, (1, 1.2)), "dashdot": (0, (4, 1.5, 1, 1.5))}
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "star": "*"}

_BAND_OPACITY = 0.16

_FEW_FACTORS = 100.0

_LEGEND_LINE_INCHES = 0.135
_LEGEND_CHARACTERS = 24
"""What fits into half a column, at the legend's size; with longer labels it has one column."""


@contextmanager
def column(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure as wide as a column, and its axes.

    Args:
      height: in inches, without the legend.
    """
    with style.context(["default", _SETTINGS]):
        figure, axes = plt.subplots(figsize=(COLUMN_INCHES, height), layout="constrained")
        yield figure, axes


def literal(name: str) -> str:
    """A name as matplotlib draws it as it stands: a dollar sign begins no formula."""
    return name.replace("$", r"\$")


def line(axes: Axes, x: Any, y: Any, style: Style, label: str, *, marker: bool = False, width: float = 1.3) -> None:
    """Draws one line."""
    axes.plot(
        x,
        y,
        color=style.colour,
        ls=_DASHES[style.dash],
        lw=width,
        label=literal(label),
        marker=MARKERS[style.marker] if marker else None,
        ms=3,
    )


def groups(
    axes: Axes,
    frame: pd.DataFrame,
    x: str,
    y: str,
    styles: dict[str, Style],
    *,
    statistic: Statistic = log_median,
    logarithmic: bool = True,
    suffix: str = "",
) -> None:
    """Draws each group's middle within its interval, or the runs themselves of one that has no middle.

    Args:
      axes: to draw on.
      frame: see `mosim_analysis.summaries.over_runs`; trials of a sweep, which say so in a column `sweep`, have none.
      x: see there.
      y: see there.
      statistic: see there.
      logarithmic: see there.
      styles: by group.
      suffix: of labels.
    """
    finite = frame[np.isfinite(frame[y].astype(float))]
    summary = over_runs(
        finite[finite["sweep"] == ""] if "sweep" in finite else finite,
        x,
        y,
        statistic=statistic,
        logarithmic=logarithmic,
    )
    for group in names.in_order(finite["group"], styles):
        style, rows, of_group = styles[group], finite[finite["group"] == group], summary[summary["group"] == group]
        if len(of_group):
            axes.fill_between(
                of_group["x"], of_group["low"], of_group["high"], color=style.colour, alpha=_BAND_OPACITY, lw=0
            )
            line(axes, of_group["x"], of_group["middle"], style, f"{group}{suffix}")
            continue
        for _, run in rows.groupby("run", sort=False):
            run = run.sort_values(x)
            line(axes, run[x], run[y], style, f"{group}{suffix}", width=1.3 if rows["run"].nunique() == 1 else 0.6)


def log_axis(axis: Axis, values: pd.Series) -> None:
    """Makes an axis logarithmic: powers of ten are labelled, or plain numbers where values span less than two.

    Args:
      axis: `axes.xaxis` or `axes.yaxis`.
      values: that are drawn along it.
    """
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")
    if values.max() / values.min() < _FEW_FACTORS:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(EngFormatter(sep="") if values.max() >= 1 else FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Axes) -> None:
    """Puts the legend under the axes, each label once, and makes room for it."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    columns = 2 if max(map(len, once), default=0) <= _LEGEND_CHARACTERS else 1
    figure.legend(
        once.values(), once.keys(), loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=2.4
    )
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE_INCHES * -(-len(once) // columns))


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Writes `stem.pdf` and `stem.png`, each whole or not at all, closes the figure, and returns their paths."""
    paths = (stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png"))
    with style.context(["default", _SETTINGS]):
        for path in paths:
            content = BytesIO()
            # Without a date, so that the same results make the same file.
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
            figure.savefig(content, format=path.suffix[1:], dpi=_DPI, metadata=metadata)
            write_whole(path, content.getvalue())
    plt.close(figure)
    return paths
