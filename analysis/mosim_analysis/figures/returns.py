"""Zero-shot returns: what a policy is worth in the simulator, and in the true task."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import names
from mosim_analysis.figures.drawing import add_groups, add_line, add_runs, empty_figure, transparent
from mosim_analysis.names import Style
from mosim_analysis.statistics import interquartile_mean
from mosim_analysis.summaries import over_runs

_GAP_OPACITY = 0.13


def returns_against_truth(
    frame: pd.DataFrame, random_return: float = float("nan"), styles: dict[str, Style] | None = None
) -> go.Figure:
    """Returns while policies train: true ones solid, simulated ones dashed, the gap between them shaded.

    Over the runs of a group, the interquartile mean is drawn, as rliable does, within the bootstrap's interval.
    Policies that were trained in the true task are dotted.

    Args:
      frame: of one task, a row a run, policy and evaluation: `run, name, group, policy` (`names.ZERO_SHOT` or
        `names.TRUE_TRAINED`), `step` (control steps), `simulated`, `true`.
      random_return: of random actions in the true task, where it is known.
      styles: by group; `names.styles` by default.
    """
    styles = styles or names.styles(frame["group"].dropna())
    figure = empty_figure(names.LABELS["control_steps"], names.LABELS["return"])
    figure.update_yaxes(rangemode="tozero")
    if np.isfinite(random_return) and len(frame):
        ends = [float(frame["step"].min()), float(frame["step"].max())]
        style = names.BASELINES[names.PERSISTENCE]
        add_line(figure, ends, [random_return] * 2, "random actions", Style(style.colour, "dot"), hover="%{y:.0f}")
    zero_shot = frame[frame["policy"] == names.ZERO_SHOT]
    _add_gaps(figure, zero_shot, styles)
    for rows, column, dash, where in (
        (frame[frame["policy"] == names.TRUE_TRAINED], "true", "dot", "trained in the true task, evaluated there"),
        (zero_shot, "simulated", "dash", "trained in the simulator, evaluated there"),
        (zero_shot, "true", "solid", "trained in the simulator, evaluated in the true task"),
    ):
        hover = f"{where}<br>%{{y:.0f}} after %{{x:,.3~s}} control steps"
        summary = over_runs(rows, "step", column, statistic=interquartile_mean, logarithmic=False)
        alone = frozenset(rows["group"].astype(str)) - frozenset(summary["group"].astype(str))
        # Of simulated returns the middle alone, or else a group of many runs would hide the gap.
        thin = rows if column == "true" else rows[rows["group"].isin(list(alone))]
        add_runs(figure, thin, "step", column, styles, hover=hover, dash=dash, alone=alone)
        add_groups(figure, summary, styles, middle="interquartile mean", hover=hover, dash=dash)
    return figure


def _add_gaps(figure: go.Figure, rows: pd.DataFrame, styles: dict[str, Style]) -> None:
    for group, of_group in rows.groupby("group", sort=False):
        lines = [
            _middle(of_group, column).dropna().rename(columns={"middle": column}) for column in ("simulated", "true")
        ]
        both = lines[0].merge(lines[1], on="x")
        figure.add_scatter(
            x=[*both["x"], *both["x"][::-1]],
            y=[*both["simulated"], *both["true"][::-1]],
            mode="lines",
            fill="toself",
            fillcolor=transparent(styles[str(group)].colour, _GAP_OPACITY),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=str(group),
            meta={"group": str(group), "runs": False, "caption": "shaded: simulated minus true"},
        )


def _middle(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """The middle over runs, or the run itself where there is one: `x, middle`."""
    if rows["run"].nunique() == 1:
        return rows[["step", column]].rename(columns={"step": "x", column: "middle"}).sort_values("x")
    summary = over_runs(rows, "step", column, statistic=interquartile_mean, logarithmic=False)
    return summary[["x", "middle"]]
