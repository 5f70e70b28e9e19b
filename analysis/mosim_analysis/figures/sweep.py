"""Sweeps: the settings of every trial with the error it came to, and how much each setting matters."""

from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from mosim_analysis import names
from mosim_analysis.figures.drawing import FAINT, INK, empty_figure
from mosim_analysis.importance import Importance, is_logarithmic

_CLASSES = 5
"""Colours of lines in parallel coordinates: fifths of the trials, by their error."""

_NOT_SET = -0.09
"""Where on an axis, from 0 to 1, trials stand that do not have the setting."""

_MOST_LEVELS = 8

_LONGEST = 20
"""Characters of a label."""


class _Axis(NamedTuple):
    places: np.ndarray
    ticks: list[tuple[float, str]]


def parallel_coordinates(trials: pd.DataFrame, settings: list[str], horizon: int) -> go.Figure:
    """A line a trial through its settings to its error; the darker, the better.

    Args:
      trials: of one sweep, a row a trial: `run, name, group, mse`, and the columns `settings`, as numbers or texts,
        missing where a trial has none.
      settings: names of columns, in order.
      horizon: at which `mse` was measured.
    """
    columns = [*settings, "mse"]
    figure = empty_figure("", "", height=420)
    trials = trials[np.isfinite(trials["mse"]) & (trials["mse"] > 0)].sort_values("mse", ascending=False)
    axes = {column: _axis(trials[column]) for column in columns}
    order = np.arange(len(trials))
    classes = np.minimum(order * _CLASSES // max(len(trials), 1), _CLASSES - 1)
    colours = sample_colorscale(names.SEQUENTIAL, [0.9 - 0.9 * each / (_CLASSES - 1) for each in range(_CLASSES)])
    for number in range(_CLASSES):
        chosen = trials[classes == number]
        if not len(chosen):
            continue
        xs, ys, data, notes = [], [], [], []
        for row in order[classes == number]:
            trial = trials.iloc[row]
            xs += [*range(len(columns)), None]
            ys += [*(float(axes[column].places[row]) for column in columns), None]
            data += [(escape(str(trial["name"])), trial["run"])] * (len(columns) + 1)
            notes += [
                *(
                    f"{escape(_short(column, settings, horizon))}: {escape(_shown(trial[column]))}"
                    for column in columns
                ),
                "",
            ]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            line={"color": colours[number], "width": 2.4 if number == _CLASSES - 1 else 1.4},
            marker={"size": 5, "color": colours[number]},
            opacity=0.85,
            customdata=data,
            text=notes,
            hovertemplate="<b>%{customdata[0]}</b><br>%{text}<extra></extra>",
            showlegend=False,
            meta={"group": str(chosen["group"].iloc[0]), "runs": True},
        )
    _draw_axes(figure, columns, axes, settings, horizon)
    return figure


def importances(found: Importance) -> go.Figure:
    """Bars of fANOVA's shares, the largest on top.

    Args:
      found: of `importance`, with shares.
    """
    shares = found.shares[::-1]
    figure = empty_figure(
        f"{names.LABELS['importance']} (fANOVA, {found.trials} trials)", "", height=110 + 34 * len(shares)
    )
    figure.add_bar(
        x=shares.to_numpy(float).tolist(),
        y=[escape(str(name)) for name in shares.index],
        orientation="h",
        marker={"color": names.BLUE},
        text=[f"{share:.0%}" for share in shares],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="<b>%{y}</b>: %{x:.1%}<extra></extra>",
        showlegend=False,
        meta={"group": None, "runs": False},
    )
    figure.update_xaxes(tickformat=".0%", range=[0, max(0.05, float(shares.max()) * 1.15)])
    figure.update_yaxes(showgrid=False, ticks="")
    figure.update_layout(bargap=0.35)
    return figure


def _axis(values: pd.Series) -> _Axis:
    """Where values stand between 0 and 1, and which of them are labelled."""
    known = values.notna().to_numpy()
    places = np.full(len(values), _NOT_SET)
    ticks: list[tuple[float, str]] = [] if known.all() else [(_NOT_SET, "not set")]
    if not known.any():
        return _Axis(places, ticks)
    if not pd.api.types.is_numeric_dtype(values) or values.dtype == bool:
        levels = sorted(map(str, values.dropna().unique()))
        spread = np.linspace(0, 1, len(levels)) if len(levels) > 1 else np.array([0.5])
        at = dict(zip(levels, spread, strict=True))
        places[known] = [at[str(value)] for value in values[known]]
        return _Axis(places, ticks + [(float(at[level]), level) for level in levels[:: max(1, len(levels) // 12)]])
    numbers = values.astype(float).to_numpy()
    into = np.log if is_logarithmic(values) else np.asarray
    scaled = into(numbers[known])
    low, high = scaled.min(), scaled.max()
    width = high - low if high > low else 1.0
    places[known] = (scaled - low) / width if high > low else 0.5
    distinct = np.unique(numbers[known])
    marks = distinct if len(distinct) <= _MOST_LEVELS else distinct[[0, len(distinct) // 2, -1]]
    at = [(float((into(np.array(mark)) - low) / width) if high > low else 0.5, _shown(mark)) for mark in marks]
    return _Axis(places, ticks + _apart(at))


def _apart(ticks: list[tuple[float, str]], least: float = 0.07) -> list[tuple[float, str]]:
    """Ticks without those that would be written over the one before."""
    kept: list[tuple[float, str]] = []
    for tick in sorted(ticks):
        if not kept or tick[0] - kept[-1][0] >= least:
            kept.append(tick)
    return kept


def _draw_axes(
    figure: go.Figure, columns: list[str], axes: dict[str, _Axis], settings: list[str], horizon: int
) -> None:
    last = len(columns) - 1
    for number, column in enumerate(columns):
        figure.add_shape(type="line", x0=number, x1=number, y0=-0.02, y1=1.02, line={"color": "#9aa5b1"}, layer="below")
        # Labels stand outside, and those between axes a little above the lines.
        anchor, shift, lift = ("right", -8, 0) if number == 0 else ("left", 8, 0 if number == last else 9)
        for place, label in axes[column].ticks:
            figure.add_annotation(
                x=number,
                y=place,
                text=escape(_cut(label)),
                showarrow=False,
                xanchor=anchor,
                xshift=shift,
                yshift=lift,
                font={"size": 11, "color": "#52606d"},
                bgcolor="rgba(255, 255, 255, 0.8)",
                borderpad=0,
            )
    figure.update_xaxes(
        tickvals=list(range(len(columns))),
        ticktext=[f"<b>{escape(_short(column, settings, horizon))}</b>" for column in columns],
        side="top",
        showgrid=False,
        ticks="",
        showline=False,
        range=[-0.06, len(columns) - 0.94],
        tickfont={"size": 12, "color": INK},
        tickangle=0,
    )
    not_set = any(place == _NOT_SET for column in columns for place, _ in axes[column].ticks)
    figure.update_yaxes(visible=False, range=[-0.15 if not_set else -0.06, 1.08], gridcolor=FAINT)
    longest = max((len(_cut(label)) for _, label in axes[columns[0]].ticks), default=0)
    figure.update_layout(margin={"l": 34 + 6 * longest, "r": 66, "t": 58, "b": 10})


def _cut(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"


def _short(column: str, settings: list[str], horizon: int) -> str:
    """A setting by as much of the end of its name as tells it from the others."""
    if column == "mse":
        return f"error at {horizon}"
    parts = column.split(".")
    ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
    return next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in settings) == 1), column)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
