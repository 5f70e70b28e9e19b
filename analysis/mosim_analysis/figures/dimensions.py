"""In which dimensions of the state the error is."""

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import names
from mosim_analysis.figures.drawing import empty_figure
from mosim_analysis.statistics import log_median

_ROW_HEIGHT, _LEAST_HEIGHT = 19, 260

_FLAT_LABELS = 5
"""Groups whose names have no room side by side."""


def dimension_medians(frame: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """The median over runs at a horizon: a row a dimension, a column a group.

    Args:
      frame: see `dimension_errors`.
      horizon: one of the frame's.
    """
    rows = frame[frame["horizon"] == horizon]
    table = rows.groupby(["dimension", "group"], sort=False)["mse"].apply(lambda mse: log_median(mse.to_numpy(float)))
    return table.unstack("group").sort_index()  # pyright: ignore[reportReturnType]


def dimension_errors(frame: pd.DataFrame, horizon: int | None = None) -> go.Figure:
    """A heat map of the error of every dimension of the state: the median over each group's runs.

    Args:
      frame: of one task, a row a run, dimension and horizon: `run, group, dimension, horizon, mse`. A dimension's name
        may begin with its place in the state, as `00 qpos shoulder`, which orders it and is not shown.
      horizon: which is shown; by default 100 where it was measured, or else the longest.
    """
    measured = sorted(frame["horizon"].unique())
    horizon = horizon or (100 if 100 in measured else int(max(measured)))
    table = dimension_medians(frame, horizon)
    logs = table.map(lambda mse: np.log10(mse) if mse > 0 and np.isfinite(mse) else np.nan)
    shown = [escape(shown_dimension(str(dimension))) for dimension in table.index]
    height = max(_LEAST_HEIGHT, _ROW_HEIGHT * len(table) + 120)
    figure = empty_figure("", "", height=height)
    low, high = np.nanmin(logs.to_numpy()), np.nanmax(logs.to_numpy())
    ticks = np.arange(np.floor(low), np.ceil(high) + 1)
    every = max(1, len(ticks) // 6)
    groups = [str(group) for group in table.columns]
    figure.add_heatmap(
        x=[escape(group) for group in groups],
        y=shown,
        z=[[None if np.isnan(value) else value for value in row] for row in logs.to_numpy()],
        customdata=[[names.figure_of(value) for value in row] for row in table.to_numpy()],
        coloraxis="coloraxis",
        xgap=2,
        ygap=1,
        hovertemplate="<b>%{x}</b><br>%{y}: %{customdata}<extra></extra>",
        meta={"group": None, "runs": False, "columns": groups},
    )
    figure.update_layout(
        coloraxis={
            "colorscale": names.SEQUENTIAL,
            "cmin": float(low),
            "cmax": float(high) if high > low else float(low) + 1,
            "colorbar": {
                "title": {"text": f"MSE at {names.steps_of(horizon)}", "side": "top"},
                "orientation": "h",
                "thickness": 10,
                "len": 0.6,
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "tickvals": ticks[::every].tolist(),
                "ticktext": [f"10<sup>{int(tick)}</sup>" for tick in ticks[::every]],
            },
        },
        margin={"t": 64},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", title_text="")
    figure.update_xaxes(showgrid=False, ticks="", type="category", tickangle=0 if len(groups) < _FLAT_LABELS else -35)
    return figure


def shown_dimension(name: str) -> str:
    """A dimension's name without its place in the state."""
    place, _, rest = name.partition(" ")
    return rest if place.isdigit() and rest else name
