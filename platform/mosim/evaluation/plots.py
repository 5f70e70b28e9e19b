"""The horizon plot: error against physics steps, between the floor that chaos sets and predicting no change."""

from pathlib import Path

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


def plot_horizon(curve: pd.DataFrame, table: pd.DataFrame, path: Path) -> None:
    """Draws `horizon_curve` as lines and `horizon_table` as points on log axes; writes a PNG, whole or not at all."""
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    for model, rows in curve.groupby("model", sort=False):
        style = STYLES.get(str(model), {"label": str(model)})
        finite = rows[np.isfinite(rows["mse"]) & (rows["mse"] > 0)]
        axes.plot(finite["step"], finite["mse"], **style)
        points = table[(table["model"] == model) & np.isfinite(table["mse"]) & (table["mse"] > 0)]
        axes.plot(points["horizon"], points["mse"], "o", markersize=4, color=style.get("color"))
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
