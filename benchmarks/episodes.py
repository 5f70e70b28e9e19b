"""How far simulators are off by how many episodes they were trained on, a line for each level of knowledge.

    mosim study benchmarks/episodes.yaml --workers 2 --results benchmarks/results/episodes.csv --resume
    python benchmarks/episodes.py

Draws the CSV: a picture a system, docs/episodes/SYSTEM.png, with a panel for each horizon; and prints the same as
Markdown. Lines are medians over seeds, points the seeds themselves, and a dashed line persistence.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import tyro
from common import RESULTS

from mosim.core.files import atomic_path
from mosim_analysis import names

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HORIZONS = (16, 100)

LEVELS = ("tree", "geometry", "arrays")


def main(
    results: tyro.conf.Positional[Path] = RESULTS / "episodes.csv",
    out: Path = Path(__file__).parent.parent / "docs" / "episodes",
) -> None:
    """Draws and prints.

    Args:
      results: a CSV written by `mosim study` on a file with `episodes`.
      out: folder of the pictures.
    """
    if not results.is_file():
        sys.exit(f"{results} is not there; make it with: mosim study benchmarks/episodes.yaml --results {results}")
    table = pd.read_csv(results)
    for system, rows in table.groupby("system", sort=False):
        _draw(str(system), rows, out / f"{system}.png")
        _print(str(system), rows)


def errors(rows: pd.DataFrame, level: str, horizon: int) -> pd.DataFrame:
    """Of a system's rows, those of a level at a horizon: `episodes`, `mse` (infinite if it diverged), a row a seed."""
    chosen = rows[(rows["model"] == names.SIMULATOR) & (rows["knowledge"] == level) & (rows["horizon"] == horizon)]
    return chosen[["episodes", "mse"]].dropna().sort_values("episodes")


def persistence(rows: pd.DataFrame, horizon: int) -> float:
    """Persistence's error; nan where it is not there."""
    found = rows.loc[(rows["model"] == names.PERSISTENCE) & (rows["horizon"] == horizon), "mse"]
    return float(found.iloc[0]) if len(found) else float("nan")


def _draw(system: str, rows: pd.DataFrame, path: Path) -> None:
    figure, panels = plt.subplots(1, len(HORIZONS), figsize=(4.0 * len(HORIZONS), 3.6), layout="constrained")
    for axes, horizon in zip(panels, HORIZONS, strict=True):
        _draw_panel(axes, rows, horizon)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle(f"{system}: horizon error by episodes of data")
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)


def _draw_panel(axes: Axes, rows: pd.DataFrame, horizon: int) -> None:
    for level, style in names.styles(LEVELS).items():
        points = errors(rows, level, horizon)
        points = points[np.isfinite(points["mse"])]
        if len(points):
            median = points.groupby("episodes")["mse"].median()
            axes.plot(median.index, median.to_numpy(), color=style.colour, label=level)
            axes.plot(points["episodes"], points["mse"], "o", color=style.colour, markersize=4)
    if np.isfinite(floor := persistence(rows, horizon)):
        axes.axhline(floor, color=names.GREY, linestyle="--", label="persistence")
    axes.set(xscale="log", yscale="log", xlabel="training episodes", title=f"over {names.steps_of(horizon)}")
    axes.set_ylabel("mean squared error, raw [q, v]")
    counts = sorted(rows["episodes"].dropna().astype(int).unique())
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)


def _print(system: str, rows: pd.DataFrame) -> None:
    """Medians over seeds at the horizons drawn, a row a number of episodes."""
    columns = [(level, horizon) for level in LEVELS for horizon in HORIZONS]
    heads = [f"{level} at {horizon}" for level, horizon in columns]
    table = [[system, *heads], ["---", *("---:" for _ in heads)]]
    medians = [errors(rows, level, horizon).groupby("episodes")["mse"].median() for level, horizon in columns]
    for count in sorted(rows["episodes"].dropna().astype(int).unique()):
        cells = [names.figure_of(float(median.get(count, float("nan")))) for median in medians]
        table.append([str(count), *cells])
    print("", *(f"| {' | '.join(cells)} |" for cells in table), sep="\n")


if __name__ == "__main__":
    tyro.cli(main)
