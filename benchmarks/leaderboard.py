"""The leaderboard: how far models of every kind are off, as plots and as Markdown.

    make leaderboard
    python benchmarks/leaderboard.py

Draws a CSV of `mosim study benchmarks/leaderboard.yaml`, together with the CSV of models from elsewhere that `mosim
leaderboard score --results` writes, which a study would overwrite: a picture a system, docs/leaderboard/SYSTEM.png,
with the horizon error of each model that was trained on the most episodes; and prints a table a system. Figures are
medians over seeds.
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

LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
"""Matplotlib's styles of lines, by plotly's."""

BASELINES = {names.PERSISTENCE: "--", names.CHAOS_FLOOR: ":"}


def main(
    results: tyro.conf.Positional[Path] = RESULTS / "leaderboard.csv",
    entries: Path = RESULTS / "leaderboard_entries.csv",
    out: Path = Path(__file__).parent.parent / "docs" / "leaderboard",
) -> None:
    """Draws and prints.

    Args:
      results: a CSV written by `mosim study`.
      entries: a CSV written by `mosim leaderboard score`, if there is one.
      out: folder of the pictures.
    """
    if not results.is_file():
        sys.exit(f"{results} does not exist; make it with: make leaderboard")
    files = [results, *([entries] if entries.is_file() else [])]
    table = named(pd.concat([pd.read_csv(file) for file in files], ignore_index=True))
    for system, rows in table.groupby("system", sort=False):
        draw(str(system), rows, out / f"{system}.png")
        print_table(str(system), rows)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column `entry`: the variant without its number of episodes, or a baseline's name."""
    variant = table["variant"].str.replace(r", \d+ episodes?$", "", regex=True)
    return table.assign(entry=variant.where(variant.notna(), table["model"]))


def medians(rows: pd.DataFrame) -> pd.DataFrame:
    """A row an entry, number of episodes and horizon, with medians over seeds; `seeds` says how many they are."""
    keys = ["entry", "knowledge", "episodes", "horizon"]
    groups = rows[~rows["entry"].isin(BASELINES)].assign(episodes=rows["episodes"].fillna(0)).groupby(keys, sort=False)
    figures = groups[["mse", "parameters", "train_seconds", "rollout_steps_per_second"]].median()
    return figures.assign(seeds=groups["seed"].nunique()).reset_index()


def draw(system: str, rows: pd.DataFrame, path: Path) -> None:
    """Draws a system's horizon errors, those of most episodes for each entry."""
    figure, axes = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    best = _of_most_episodes(medians(rows))
    entries = list(dict.fromkeys(best["entry"]))
    for entry, style in names.styles(entries).items():
        points = best[(best["entry"] == entry) & np.isfinite(best["mse"])].sort_values("horizon")
        label = names.with_knowledge(entry, str(points["knowledge"].iloc[0])) if len(points) else entry
        line = LINES[style.dash]
        axes.plot(points["horizon"], points["mse"], line, marker=".", color=style.colour, label=label)
    for name, line in BASELINES.items():
        points = rows[rows["entry"] == name].sort_values("horizon")
        if len(points):
            axes.plot(points["horizon"], points["mse"], color=names.GREY, linestyle=line, label=name)
    axes.set(xscale="log", yscale="log", xlabel="horizon, in physics steps", ylabel="mean squared error, raw [q, v]")
    axes.set_title(f"{system}: horizon error")
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=120)
    plt.close(figure)


def print_table(system: str, rows: pd.DataFrame) -> None:
    """Prints a system's entries as Markdown, the most accurate at the last horizon but one first."""
    best = _of_most_episodes(medians(rows))
    horizons = sorted(best["horizon"].unique())
    judged = horizons[-2] if len(horizons) > 1 else horizons[-1]
    errors = best.pivot_table(index="entry", columns="horizon", values="mse", sort=False)
    heads = [system, "level", "episodes", "seeds", *(f"at {h}" for h in horizons), "weights", "minutes", "steps/s"]
    lines = [heads, ["---", "---", *("---:" for _ in heads[2:])]]
    for entry in errors.sort_values(judged).index:
        of_entry = best[best["entry"] == entry]
        first = of_entry.iloc[0]
        cells = [entry, first["knowledge"], _whole(first["episodes"]), _whole(first["seeds"])]
        cells += [names.figure_of(float(mse)) for mse in errors.loc[entry].reindex(horizons)]
        minutes = first["train_seconds"] / 60
        cells += [_whole(first["parameters"]), "" if np.isnan(minutes) else f"{minutes:.1f}"]
        lines.append([*cells, _whole(first["rollout_steps_per_second"])])
    for name in BASELINES:
        floor = rows[rows["entry"] == name].set_index("horizon")["mse"]
        if len(floor):
            figures = [names.figure_of(float(floor.get(horizon, np.nan))) for horizon in horizons]
            lines.append([name, "", "", "", *figures, "", "", ""])
    print("", *(f"| {' | '.join(cells)} |" for cells in lines), sep="\n")


def _of_most_episodes(figures: pd.DataFrame) -> pd.DataFrame:
    most = figures.groupby("entry")["episodes"].transform("max")
    return figures[figures["episodes"] == most]


def _whole(value: float) -> str:
    return "" if np.isnan(value) or value == 0 else f"{value:,.0f}"


if __name__ == "__main__":
    tyro.cli(main)
