"""Training: losses with the ends of stages, and what an error has cost in samples and in time."""

from html import escape

import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import names
from mosim_analysis.figures.drawing import add_groups, add_runs, empty_figure, fit_log_axis
from mosim_analysis.names import Style
from mosim_analysis.summaries import over_runs, thinned


def loss_curves(frame: pd.DataFrame, styles: dict[str, Style] | None = None) -> go.Figure:
    """Training loss against gradient steps; a diamond stands where a stage ends.

    Args:
      frame: of one task, a row a run and report: `run, name, group, sweep, step, stage, loss`, and where it is known
        `stage_name`. `sweep` is empty but for trials of a sweep, which have no median.
      styles: by group; `names.styles` by default.
    """
    styles = styles or names.styles(frame["group"].dropna())
    figure = empty_figure(names.LABELS["step"], names.LABELS["loss"], log_y=True)
    rows = thinned(frame[frame["loss"] > 0], "step")
    fit_log_axis(figure, "y", rows["loss"])
    summary = over_runs(rows[rows["sweep"] == ""], "step", "loss")
    alone = frozenset(rows["group"].astype(str)) - frozenset(summary["group"].astype(str))
    hover = "gradient step %{x:,}: %{y:.3g}"
    add_runs(figure, rows, "step", "loss", styles, hover=hover, alone=alone)
    add_groups(figure, summary, styles, middle="median", hover=hover)
    _add_boundaries(figure, rows, styles)
    return figure


def _add_boundaries(figure: go.Figure, rows: pd.DataFrame, styles: dict[str, Style]) -> None:
    """Marks, on every run's line, the last report of each stage but the last."""
    staged = rows.dropna(subset=["stage"]).sort_values(["run", "step"])
    following = staged.groupby("run")["stage"].shift(-1)
    ends = staged[following.notna() & (following != staged["stage"])]
    names_of_stages = ends["stage_name"] if "stage_name" in ends else pd.Series("", index=ends.index)
    for group, of_group in ends.groupby("group", sort=False):
        said = names_of_stages.loc[of_group.index].fillna("")
        figure.add_scatter(
            x=of_group["step"].tolist(),
            y=of_group["loss"].tolist(),
            mode="markers",
            name=f"{group}: end of a stage",
            legendgroup=str(group),
            showlegend=False,
            marker={
                "symbol": "diamond",
                "size": 8,
                "color": "white",
                "line": {"color": styles[str(group)].colour, "width": 1.6},
            },
            customdata=[(escape(str(name)), run) for name, run in zip(of_group["name"], of_group["run"], strict=True)],
            text=[
                f"end of stage {int(stage)} {escape(str(name))}".rstrip()
                for stage, name in zip(of_group["stage"], said, strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>%{text}, at gradient step %{x:,}<extra></extra>",
            meta={"group": str(group), "runs": True, "caption": "◇ end of a stage"},
        )


def error_over_cost(frame: pd.DataFrame, cost: str, horizon: int, styles: dict[str, Style] | None = None) -> go.Figure:
    """Horizon error on validation episodes against what training had cost until then.

    Args:
      frame: of one task, a row a run and measurement: `run, name, group`, `error`, and the column `cost`.
      cost: `samples` or `seconds`.
      horizon: at which `error` was measured.
      styles: by group; `names.styles` by default.
    """
    styles = styles or names.styles(frame["group"].dropna())
    title = names.LABELS["error"].format(horizon=horizon)
    figure = empty_figure(names.LABELS[cost], title, log_x=True, log_y=True)
    rows = frame[(frame["error"] > 0) & (frame[cost] > 0)].dropna(subset=["error", cost])
    fit_log_axis(figure, "x", rows[cost], si=True)
    fit_log_axis(figure, "y", rows["error"])
    shown = "%{x:,.3~s} samples" if cost == "samples" else "%{x:.3~s} s"
    everyone = frozenset(rows["group"].astype(str))
    add_runs(figure, rows, cost, "error", styles, hover=f"after {shown}: %{{y:.3g}}", markers=True, alone=everyone)
    return figure
