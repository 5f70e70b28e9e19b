"""The figures of papers: each a function from the frame of the page's figure of that name."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from mosim_analysis import names
from mosim_analysis.figures import dimension_medians, shown_dimension
from mosim_analysis.importance import Importance
from mosim_analysis.names import Style
from mosim_analysis.paper.drawing import MARKERS, column, groups, legend, line, literal, log_axis
from mosim_analysis.statistics import interquartile_mean, log_median, pareto_front
from mosim_analysis.summaries import thinned, thinned_steps


def horizon_curves(frame: pd.DataFrame, styles: dict[str, Style] | None = None) -> Figure:
    """See `mosim_analysis.figures.horizon_curves`, whose frame it takes; a single run stands for a group of one."""
    styles = styles or names.styles(frame["group"].dropna())
    with column(2.6) as (figure, axes):
        steps = thinned_steps(int(frame["step"].max()))
        shown = frame[frame["step"].isin(steps) & (frame["mse"] > 0)]
        for model, style in names.BASELINES.items():
            middle = shown[shown["model"] == model].groupby("step")["mse"].apply(lambda mse: log_median(mse.to_numpy()))
            if len(middle):
                line(axes, middle.index, middle, style, names.MODELS[model].partition(" (")[0])
        groups(axes, shown[~shown["model"].isin(list(names.BASELINES))], "step", "mse", styles)
        axes.set(xscale="log", yscale="log", xlabel=names.LABELS["horizon"], ylabel="horizon error (raw MSE)")
        horizons = [horizon for horizon in names.STANDARD_HORIZONS if horizon <= steps[-1]]
        axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
        axes.minorticks_off()
        legend(figure, axes)
    return figure


def loss_curves(frame: pd.DataFrame, styles: dict[str, Style] | None = None) -> Figure:
    """See `mosim_analysis.figures.loss_curves`, whose frame it takes."""
    styles = styles or names.styles(frame["group"].dropna())
    with column(2.4) as (figure, axes):
        rows = thinned(frame[frame["loss"] > 0], "step")
        groups(axes, rows, "step", "loss", styles)
        axes.set(yscale="log", xlabel=names.LABELS["step"], ylabel=names.LABELS["loss"])
        legend(figure, axes)
    return figure


def error_over_cost(frame: pd.DataFrame, cost: str, horizon: int, styles: dict[str, Style] | None = None) -> Figure:
    """See `mosim_analysis.figures.error_over_cost`, whose arguments it takes."""
    styles = styles or names.styles(frame["group"].dropna())
    with column(2.4) as (figure, axes):
        rows = frame[(frame["error"] > 0) & (frame[cost] > 0)]
        for group in names.in_order(rows["group"], styles):
            for _, run in rows[rows["group"] == group].sort_values(cost).groupby("run", sort=False):
                line(axes, run[cost], run["error"], styles[group], group, marker=True, width=0.8)
        log_axis(axes.xaxis, rows[cost])
        log_axis(axes.yaxis, rows["error"])
        axes.set(xlabel=names.LABELS[cost], ylabel=f"horizon error at {horizon}")
        legend(figure, axes)
    return figure


def dimension_errors(frame: pd.DataFrame, horizon: int) -> Figure:
    """See `mosim_analysis.figures.dimension_errors`, whose arguments it takes."""
    table = dimension_medians(frame, horizon)
    with column(0.9 + 0.13 * len(table)) as (figure, axes):
        values = np.ma.masked_invalid(table.to_numpy(float))
        image = axes.imshow(values, aspect="auto", norm="log", cmap=names.SEQUENTIAL.lower())
        axes.set_xticks(
            range(len(table.columns)), [literal(str(group)) for group in table.columns], rotation=30, ha="right"
        )
        axes.set_yticks(range(len(table)), [literal(shown_dimension(str(name))) for name in table.index])
        axes.grid(visible=False)
        axes.tick_params(length=0)
        figure.colorbar(image, ax=axes, label=f"MSE at {names.steps_of(horizon)}", aspect=30, pad=0.03)
    return figure


def error_over_speed(frame: pd.DataFrame, horizon: int, styles: dict[str, Style] | None = None) -> Figure:
    """See `mosim_analysis.figures.error_over_speed`, whose arguments it takes."""
    styles = styles or names.styles(frame["group"].dropna())
    with column(2.4) as (figure, axes):
        rows = frame[(frame["mse"] > 0) & np.isfinite(frame["mse"]) & (frame["speed"] > 0)]
        front = rows[pareto_front(rows["mse"].to_numpy(float), rows["speed"].to_numpy(float))].sort_values("speed")
        axes.step(front["speed"], front["mse"], where="pre", color=names.BLACK, lw=0.9, ls=":", label="Pareto front")
        for group in names.in_order(rows["group"], styles):
            style, of_group = styles[group], rows[rows["group"] == group]
            axes.plot(
                of_group["speed"],
                of_group["mse"],
                MARKERS[style.marker],
                color=style.colour,
                ms=4,
                mec="white",
                mew=0.4,
                label=literal(group),
            )
        log_axis(axes.xaxis, rows["speed"])
        log_axis(axes.yaxis, rows["mse"])
        axes.set(xlabel=names.LABELS["speed"], ylabel=f"horizon error at {horizon}")
        legend(figure, axes)
    return figure


def returns_against_truth(
    frame: pd.DataFrame, random_return: float = float("nan"), styles: dict[str, Style] | None = None
) -> Figure:
    """See `mosim_analysis.figures.returns_against_truth`, whose arguments it takes."""
    styles = styles or names.styles(frame["group"].dropna())
    with column(2.4) as (figure, axes):
        if np.isfinite(random_return):
            axes.axhline(random_return, color=names.GREY, lw=0.9, ls=":", label="random actions")
        for policy, where, dash in (
            (names.TRUE_TRAINED, "true", "dot"),
            (names.ZERO_SHOT, "simulated", "dash"),
            (names.ZERO_SHOT, "true", "solid"),
        ):
            rows = frame[frame["policy"] == policy]
            drawn = {group: style._replace(dash=dash) for group, style in styles.items()}
            label = {"dot": ", trained in the true task", "dash": ", simulated", "solid": ""}[dash]
            groups(axes, rows, "step", where, drawn, statistic=interquartile_mean, logarithmic=False, suffix=label)
        axes.set(xlabel=names.LABELS["control_steps"], ylabel=names.LABELS["return"])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        legend(figure, axes)
    return figure


def importances(found: Importance) -> Figure:
    """See `mosim_analysis.figures.importances`, whose argument it takes."""
    shares = found.shares[::-1]
    with column(0.6 + 0.22 * len(shares)) as (figure, axes):
        bars = axes.barh(
            [literal(str(name)) for name in shares.index], shares.to_numpy(float), color=names.BLUE, height=0.65
        )
        axes.bar_label(bars, [f"{share:.0%}" for share in shares], padding=2, fontsize=7)
        axes.set(xlabel="fraction of variance (fANOVA)", xlim=(0, max(0.05, float(shares.max()) * 1.2)))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(visible=False, axis="y")
    return figure
