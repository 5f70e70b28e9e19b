"""Error against speed: what a simulator gives for what it takes."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import names
from mosim_analysis.figures.drawing import INK, add_line, add_points, empty_figure, fit_log_axis
from mosim_analysis.names import Style
from mosim_analysis.statistics import pareto_front


def error_over_speed(frame: pd.DataFrame, horizon: int, styles: dict[str, Style] | None = None) -> go.Figure:
    """Horizon error against rollout speed, a point a run, and the front of those that no other beats in both.

    Args:
      frame: of one task, a row a run: `run, name, group, speed` (physics steps predicted a second) and `mse`.
      horizon: at which `mse` was measured.
      styles: by group; `names.styles` by default.
    """
    styles = styles or names.styles(frame["group"].dropna())
    figure = empty_figure(names.LABELS["speed"], f"horizon error at {horizon}", log_x=True, log_y=True)
    rows = frame[(frame["mse"] > 0) & (frame["speed"] > 0)]
    fit_log_axis(figure, "x", rows["speed"], si=True)
    fit_log_axis(figure, "y", rows["mse"])
    on_front = pareto_front(rows["mse"].to_numpy(float), rows["speed"].to_numpy(float))
    front = rows[on_front].sort_values("speed")
    if len(front):
        style = Style(INK, "dot")
        name = "Pareto front: no run is both faster and more accurate"
        add_line(figure, *_stairs(front), name, style, hover="%{y:.3g} at %{x:.3~s} steps/s")
    rows = rows.assign(note=np.where(on_front, "on the Pareto front", ""))
    add_points(figure, rows, "speed", "mse", styles, hover="%{y:.3g} at %{x:.3~s} steps/s")
    return figure


def _stairs(front: pd.DataFrame) -> tuple[list[float], list[float]]:
    """The front as stairs: up to each point's speed its error can be had."""
    speeds, errors = front["speed"].tolist(), front["mse"].tolist()
    xs, ys = [speeds[0]], [errors[0]]
    for speed, error in zip(speeds[1:], errors[1:], strict=True):
        xs += [xs[-1], speed]
        ys += [error, error]
    return xs, ys
