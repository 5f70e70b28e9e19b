"""The horizon plot: error against physics steps, between the floor that chaos sets and predicting no change."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from mosim.core.files import atomic_path
from mosim.evaluation.calibration import COVERED
from mosim_analysis import names

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib import style


@style.context("default")  # Whatever a matplotlibrc of the working folder says.
def plot_horizon(curve: pd.DataFrame, table: pd.DataFrame, path: Path) -> None:
    """Draws `horizon_curve` as lines and `horizon_table` as points on log axes; writes a PNG, whole or not at all.

    Models other than those of `evaluate` are drawn under their own names, all with the table's `knowledge`. Where the
    curve has the columns `lowest` and `highest`, the band between them is shaded.
    """
    models = list(curve["model"].unique())
    styles = _styles(models)
    knowledge = knowledge_by_model(table)
    figure, axes = plt.subplots(figsize=(6.4, 4.8 + 0.2 * max(len(models) - 3, 0)), layout="constrained")
    for model, rows in curve.groupby("model", sort=False):
        style = styles[str(model)]
        style["label"] = names.with_knowledge(style["label"], knowledge[str(model)])
        finite = rows[np.isfinite(rows["mse"]) & (rows["mse"] > 0)]
        axes.plot(finite["step"], finite["mse"], **style)
        if {"lowest", "highest"} <= set(rows.columns):
            band = rows[np.isfinite(rows["highest"]) & (rows["lowest"] > 0)]
            axes.fill_between(band["step"], band["lowest"], band["highest"], color=style["color"], alpha=0.15, lw=0)
        points = table[(table["model"] == model) & np.isfinite(table["mse"]) & (table["mse"] > 0)]
        axes.plot(points["horizon"], points["mse"], "o", markersize=4, color=style["color"])
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="physics steps predicted open loop",
        ylabel="mean squared error over steps 1..H, raw [q, v]",
        title=f"{table['system'].iloc[0]}: horizon error from held-out starts",
    )
    axes.grid(visible=True, which="major", alpha=0.3)
    figure.legend(loc="outside lower center", frameon=False)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)


@style.context("default")
def plot_calibration(rows: pd.DataFrame, system: str, path: Path) -> None:
    """Draws a `Calibration.table`: error and uncertainty, and coverage and rank correlation; writes a PNG."""
    figure, (sizes, shares) = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    for column, label, colour in (("error", "error", names.BLUE), ("uncertainty", "uncertainty", "0.4")):
        sizes.plot(rows["step"], rows[column], color=colour, label=f"{label}, median over starts")
    sizes.set(xscale="log", yscale="log", ylabel="standard deviations of the training data")
    label = f"share of errors within {COVERED:g} x uncertainty"
    shares.plot(rows["step"], rows["coverage"], color=names.BLUE, label=label)
    shares.plot(rows["step"], rows["rank_correlation"], color="0.4", label="rank correlation of error and uncertainty")
    shares.set(xscale="log", ylim=(min(0.0, rows["rank_correlation"].min()), 1.02))
    for axes in (sizes, shares):
        axes.set_xlabel("physics steps predicted open loop")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(f"{system}: calibration on {rows['starts'].iloc[0]} held-out starts")
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)


def knowledge_by_model(table: pd.DataFrame) -> dict[str, str]:
    """The knowledge of each model of a `horizon_table`, as it was made or as it is read from `horizon.csv`."""
    return dict(zip(table["model"], table["knowledge"].fillna(""), strict=True))


def _styles(models: list[str]) -> dict[str, dict[str, Any]]:
    """How each model is drawn: those of `names.MODELS` always alike, the others apart from one another."""
    known = {names.SIMULATOR: names.Style(names.BLUE), **names.BASELINES}
    styles = known | names.styles(model for model in models if model not in known)
    return {
        model: {
            "color": styles[model].colour,
            "linestyle": names.LINES[styles[model].dash],
            "label": names.MODELS.get(model, model),
            "linewidth": 2.0 if model == names.SIMULATOR else 1.5,
        }
        for model in models
    }


STYLES = _styles([names.SIMULATOR, names.PERSISTENCE, names.CHAOS_FLOOR])
"""How the simulator and the baselines are drawn, as matplotlib takes it."""
