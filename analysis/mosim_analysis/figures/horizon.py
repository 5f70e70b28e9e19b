"""Horizon curves: how the error of an open-loop prediction grows."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import names
from mosim_analysis.figures.drawing import add_groups, add_line, add_points, add_runs, empty_figure, fit_log_axis
from mosim_analysis.names import Style
from mosim_analysis.statistics import log_median
from mosim_analysis.summaries import over_runs, thinned_steps

_HOVER = "at %{x} steps: %{y:.3g}"


def horizon_curves(frame: pd.DataFrame, styles: dict[str, Style] | None = None) -> go.Figure:
    """Horizon error against physics steps on logarithmic axes: runs, and over the runs of a group the median.

    The median stands within the interval of the bootstrap over the group's runs. Persistence and the chaos floor are
    drawn once. A run that does not stay finite ends in a cross.

    Args:
      frame: of one task, a row a run, model and step: `run, name, group, sweep, model, step, mse`. `model` is one of
        `names.MODELS`; `sweep` is empty but for trials of a sweep, which have no median.
      styles: by group; `names.styles` by default.
    """
    styles = styles or names.styles(frame["group"].dropna())
    figure = empty_figure(names.LABELS["horizon"], names.LABELS["mse"], log_x=True, log_y=True, height=500)
    steps = thinned_steps(int(frame["step"].max())) if len(frame) else []
    shown = frame[frame["step"].isin(steps) & (frame["mse"] > 0)]
    for model, style in names.BASELINES.items():
        middle = shown[shown["model"] == model].groupby("step")["mse"].apply(lambda mse: log_median(mse.to_numpy()))
        if len(middle):
            add_line(figure, middle.index.tolist(), middle.tolist(), names.MODELS[model], style, hover=_HOVER)
    figure.update_xaxes(tickvals=names.STANDARD_HORIZONS, minor_ticks="")
    fit_log_axis(figure, "y", shown["mse"])
    runs = shown[~shown["model"].isin(list(names.BASELINES))]
    summary = over_runs(runs[runs["sweep"] == ""], "step", "mse")
    alone = frozenset(runs["group"].astype(str)) - frozenset(summary["group"].astype(str))
    add_runs(figure, runs, "step", "mse", styles, hover=_HOVER, alone=alone)
    add_groups(figure, summary, styles, middle="median", hover=_HOVER)
    _add_ends(figure, runs, styles)
    return figure


def _add_ends(figure: go.Figure, runs: pd.DataFrame, styles: dict[str, Style]) -> None:
    """Marks the last finite point of runs whose error becomes infinite."""
    rows = []
    for _, of_run in runs.groupby("run", sort=False):
        finite = np.isfinite(of_run["mse"])
        if not finite.all() and finite.any():
            rows.append(of_run[finite].sort_values("step").tail(1).assign(note="diverges after this step"))
    if not rows:
        return
    ends = pd.concat(rows)
    add_points(figure, ends, "step", "mse", styles, hover=_HOVER, symbol="x")
