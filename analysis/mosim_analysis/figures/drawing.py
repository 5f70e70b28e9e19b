"""What the figures of the page share: axes, runs as thin lines, groups as thick ones within their intervals.

A trace's `meta` says whose it is: `group`, or None where it belongs to none; `runs`, whether its `customdata` hold, for
each point, the name and the id of a run; and in a heat map `columns`, the group of each. The page switches groups and
runs on and off by it.
"""

import math
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import names
from mosim_analysis.names import Style
from mosim_analysis.statistics import LEVEL

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK, FAINT = "#1f2933", "#e4e7eb"

_RUN_WIDTH, _GROUP_WIDTH = 1.1, 2.6
_RUN_OPACITY = 0.4
_BAND_OPACITY = 0.14

_FEWEST_DECADES, _MOST_TICKS = 1.3, 9
"""Of a logarithmic axis: what it takes for powers of ten to be enough ticks, and how many there may be."""


def empty_figure(
    x_title: str, y_title: str, *, log_x: bool = False, log_y: bool = False, height: int = 430
) -> go.Figure:
    """Axes with nothing on them."""
    axis = {
        "gridcolor": FAINT,
        "linecolor": "#9aa5b1",
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": "#9aa5b1",
        "ticklen": 4,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 13}},
    }
    log = {"type": "log", "exponentformat": "power", "minor": {"showgrid": False}}
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 64, "r": 18, "t": 32, "b": 52},
        font={"family": FONT, "size": 12.5, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="closest",
        hoverlabel={"bgcolor": "white", "bordercolor": "#9aa5b1", "font": {"family": FONT, "size": 12.5, "color": INK}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        xaxis=axis | (log if log_x else {}),
        yaxis=axis | (log if log_y else {}),
    )
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title)
    return figure


def fit_log_axis(figure: go.Figure, axis: str, values: pd.Series, si: bool = False) -> None:
    """Ticks for a logarithmic axis: powers of ten where values span some, and else plain numbers.

    Args:
      figure: whose axis it is.
      axis: `x` or `y`.
      values: that are drawn along it.
      si: whether plain numbers are shortened as 10k.
    """
    drawn = values[np.isfinite(values) & (values > 0)].astype(float)
    if not len(drawn):
        return
    decades = np.log10(drawn.max() / drawn.min())
    update = figure.update_xaxes if axis == "x" else figure.update_yaxes
    if decades > _FEWEST_DECADES:
        update(dtick=max(1, round(decades / _MOST_TICKS)), tickfont_size=11)
    else:
        # D2: at 1, 2 and 5 times powers of ten; where that is too coarse, as many digits as tell ticks apart.
        coarse = decades > _FEWEST_DECADES / 4
        digits = 2 if coarse else max(2, 2 - math.floor(math.log10(max(decades, 1e-6))))
        update(nticks=6, tickformat=f".{digits}~{'s' if si else 'g'}", dtick="D2" if coarse else None)


def add_runs(
    figure: go.Figure,
    frame: pd.DataFrame,
    x: str,
    y: str,
    styles: dict[str, Style],
    *,
    hover: str,
    markers: bool = False,
    dash: str | None = None,
    alone: frozenset[str] = frozenset(),
    show_legend: bool = False,
) -> None:
    """Draws each run as a line, those of a group as one trace.

    Args:
      figure: to draw on.
      frame: `run`, `name`, `group`, and the columns `x` and `y`; a column `note` is shown on hover where there is one.
      x: name of a column.
      y: name of a column.
      styles: by group.
      hover: what is said of a point, in plotly's terms, such as `step %{x}: %{y:.3g}`.
      markers: whether points are marked.
      dash: in the place of the group's own.
      alone: groups whose runs are drawn as thick as groups, since no middle of them is drawn.
      show_legend: whether the trace is named in plotly's own legend.
    """
    for group in names.in_order(frame["group"], styles):
        style, rows = styles[group], frame[frame["group"] == group]
        xs, ys, data, notes = [], [], [], []
        for run, of_run in rows.groupby("run", sort=False):
            of_run = of_run.sort_values(x, kind="stable")
            said = of_run["note"] if "note" in of_run else [""] * len(of_run)
            xs += [*of_run[x], None]
            ys += [*_drawable(of_run[y]), None]
            data += [(escape(str(of_run["name"].iloc[0])), run)] * (len(of_run) + 1)
            notes += [*(f"<br>{escape(note)}" if note else "" for note in said), ""]
        thick = group in alone
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers" if markers else "lines",
            name=group,
            legendgroup=group,
            showlegend=show_legend,
            line={"color": style.colour, "dash": dash or style.dash, "width": 1.8 if thick else _RUN_WIDTH},
            marker={"color": style.colour, "symbol": style.marker, "size": 6},
            opacity=0.9 if thick else _RUN_OPACITY,
            customdata=data,
            text=notes if any(notes) else None,
            hovertemplate=f"<b>%{{customdata[0]}}</b><br>{hover}"
            + ("%{text}" if any(notes) else "")
            + "<extra></extra>",
            meta={"group": group, "runs": True},
        )


def add_points(
    figure: go.Figure,
    frame: pd.DataFrame,
    x: str,
    y: str,
    styles: dict[str, Style],
    *,
    hover: str,
    symbol: str | None = None,
) -> None:
    """Draws each run as one point; arguments are those of `add_runs`, `symbol` in the place of the group's own."""
    for group in names.in_order(frame["group"], styles):
        style, rows = styles[group], frame[frame["group"] == group]
        notes = [f"<br>{escape(note)}" if note else "" for note in rows["note"]] if "note" in rows else None
        figure.add_scatter(
            x=rows[x].tolist(),
            y=_drawable(rows[y]),
            mode="markers",
            name=group,
            legendgroup=group,
            showlegend=True,
            marker={
                "color": style.colour,
                "symbol": symbol or style.marker,
                "size": 9,
                "opacity": 0.85,
                "line": {"color": "white", "width": 1},
            },
            customdata=[(escape(str(name)), run) for name, run in zip(rows["name"], rows["run"], strict=True)],
            text=notes,
            hovertemplate=f"<b>%{{customdata[0]}}</b><br>{hover}" + ("%{text}" if notes else "") + "<extra></extra>",
            meta={"group": group, "runs": True},
        )


def add_groups(
    figure: go.Figure,
    summary: pd.DataFrame,
    styles: dict[str, Style],
    *,
    middle: str,
    hover: str,
    dash: str | None = None,
) -> None:
    """Draws each group's middle over the shaded interval.

    Args:
      figure: to draw on.
      summary: of `over_runs`.
      styles: by group.
      middle: what the middle is, such as `median`.
      hover: what is said of the place, such as `step %{x}`.
      dash: in the place of the group's own.
    """
    for group in names.in_order(summary["group"], styles):
        style, rows, meta = styles[group], summary[summary["group"] == group], {"group": group, "runs": False}
        add_band(figure, rows, style, meta)
        figure.add_scatter(
            x=rows["x"].tolist(),
            y=_drawable(rows["middle"]),
            mode="lines",
            name=group,
            legendgroup=group,
            line={"color": style.colour, "dash": dash or style.dash, "width": _GROUP_WIDTH},
            customdata=[
                (names.figure_of(low), names.figure_of(high)) for low, high in rows[["low", "high"]].to_numpy()
            ],
            hovertemplate=f"<b>{in_template(group)}</b>, {middle} of {rows['runs'].iloc[0]} runs<br>{hover}<br>"
            f"{LEVEL:.0%} interval %{{customdata[0]}} to %{{customdata[1]}}<extra></extra>",
            meta=meta,
        )


def add_band(figure: go.Figure, rows: pd.DataFrame, style: Style, meta: dict[str, object]) -> None:
    """Shades between the columns `low` and `high` of rows."""
    shown = rows[np.isfinite(rows["low"]) & np.isfinite(rows["high"])]
    figure.add_scatter(
        x=[*shown["x"], *shown["x"][::-1]],
        y=[*shown["low"], *shown["high"][::-1]],
        mode="lines",
        fill="toself",
        fillcolor=transparent(style.colour, _BAND_OPACITY),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=str(meta["group"]),
        meta=meta,
    )


def add_line(figure: go.Figure, x: list, y: list, name: str, style: Style, *, hover: str) -> None:
    """Draws a line that belongs to no group and is never switched off."""
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name=name,
        line={"color": style.colour, "dash": style.dash, "width": 2},
        hovertemplate=f"<b>{in_template(name)}</b><br>{hover}<extra></extra>",
        meta={"group": None, "runs": False, "caption": name},
    )


def _drawable(values: pd.Series) -> list[float | None]:
    """Values with gaps where they are not finite."""
    return [value if np.isfinite(value) else None for value in values.to_numpy(float)]


def in_template(text: str) -> str:
    """A name in one of plotly's templates, which takes neither markup nor `%{...}` in it for its own."""
    return escape(text).replace("%", "&#37;")


def transparent(colour: str, opacity: float) -> str:
    """A colour, `#rrggbb`, as CSS with an opacity."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"
