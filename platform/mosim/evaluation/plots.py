"""The horizon plot: error against physics steps, between the floor that chaos sets and predicting no change."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from mosim.files import atomic_path

mpl.use("Agg")

from matplotlib import pyplot as plt

STYLES = {
    "mosim": {"color": "#0072B2", "label": "neural simulator", "linewidth": 2.0},
    "hold-last": {"color": "#999999", "label": "hold-last (predict no change)", "linestyle": "--"},
    "perturbed-twin": {"color": "#D55E00", "label": "perturbed twin (MuJoCo, started 1e-6 away)", "linestyle": ":"},
}
"""Colours of Okabe and Ito, which stay apart for colour-blind eyes."""

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
_LINES = ("-", "-.", (0, (5, 1)))
"""What models without a style of their own get, in turn."""


def plot_horizon(curve: pd.DataFrame, table: pd.DataFrame, path: Path) -> None:
    """Draws `horizon_curve` as lines and `horizon_table` as points on log axes; writes a PNG, whole or not at all.

    Models other than those of `evaluate` are drawn under their own names. Where the curve has the columns `lowest` and
    `highest`, the band between them is shaded.
    """
    models = list(curve["model"].unique())
    styles = _styles(models)
    figure, axes = plt.subplots(figsize=(6.4, 4.8 + 0.2 * max(len(models) - 3, 0)), layout="constrained")
    for model, rows in curve.groupby("model", sort=False):
        style = styles[str(model)]
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


def _styles(models: list[str]) -> dict[str, dict[str, Any]]:
    """How each model is drawn: those of `STYLES` always alike, the others apart from one another."""
    styles: dict[str, dict[str, Any]] = {model: STYLES[model] for model in models if model in STYLES}
    for number, model in enumerate(model for model in models if model not in STYLES):
        turn, place = divmod(number, len(_COLOURS))
        styles[model] = {"label": model, "color": _COLOURS[place], "linestyle": _LINES[turn % len(_LINES)]}
    return styles
