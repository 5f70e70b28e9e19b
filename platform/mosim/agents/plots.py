"""The plot of returns: what a policy is worth in the simulator and in the true task, while it trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from mosim.agents.returns import ReturnRow
from mosim.core.files import atomic_path
from mosim_analysis import names

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib import style


@style.context("default")  # Whatever a matplotlibrc of the working folder says.
def plot_returns(trainings: Mapping[str, Sequence[ReturnRow]], random_return: float, title: str, path: Path) -> None:
    """Draws true returns as lines with a band of one standard error, simulated ones dashed; writes a PNG."""
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    styles = names.styles(trainings)
    for name, rows in trainings.items():
        colour = styles[name].colour
        steps = np.array([row.steps for row in rows])
        mean = np.array([row.return_true_mean for row in rows])
        error = np.array([row.return_true_std / max(row.episodes, 1) ** 0.5 for row in rows])
        simulated = np.array([row.return_simulated for row in rows])
        axes.plot(steps, mean, color=colour, marker="o", markersize=3, label=f"{name}, evaluated in the true task")
        axes.fill_between(steps, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
        if not np.array_equal(simulated, mean):
            axes.plot(steps, simulated, color=colour, linestyle="--", label=f"{name}, evaluated in the simulator")
    axes.axhline(random_return, color=names.GREY, linestyle=":", label="random actions, true task")
    axes.set(xlabel="control steps of training", ylabel="episode return", title=title)
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside lower center", frameon=False)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)
