"""What came of each round: `learning.csv`, a table and a plot."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from rich.table import Table

from mosim.core.errors import DamagedFileError
from mosim.core.files import atomic_path, write_text
from mosim_analysis import names

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib import style

LEARNING_FILE, LEARNING_PLOT = "learning.csv", "learning.png"


class LearningRow(NamedTuple):
    """A round; the fields are the columns of `learning.csv`.

    Attributes:
      round: counted from 0.
      true_steps: control steps in the true task that simulator and policy have learned from, all rounds so far.
      episodes: of these steps.
      new_data_mse_16: horizon error at 16 physics steps of the simulator of the round before on this round's data,
        which it had not seen; NaN in the first.
      return_true_mean, return_true_std: of evaluation episodes in the true task, which are not counted.
      return_simulated: of the same episodes in the round's simulator.
      seconds: that the round took, or what was left of it where it was resumed.
    """

    round: int
    true_steps: int
    episodes: int
    new_data_mse_16: float
    return_true_mean: float
    return_true_std: float
    return_simulated: float
    seconds: float


def write_learning(path: Path, rows: Sequence[LearningRow]) -> None:
    """Writes all rows, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LearningRow._fields)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_learning(path: Path) -> list[LearningRow]:
    """Reads `learning.csv`; no rows where there is no file.

    Raises:
      DamagedFileError: the file is not what was written.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    if tuple(header) != LearningRow._fields:
        raise DamagedFileError(f"{path} is damaged: its columns must be {', '.join(LearningRow._fields)}.")
    try:
        return [LearningRow(*map(int, line[:3]), *map(float, line[3:])) for line in lines]
    except (TypeError, ValueError):
        raise DamagedFileError(f"{path} is damaged: it has a line that is not a row of numbers.") from None


def learning_table(rows: Sequence[LearningRow], random_return: float) -> Table:
    """The rounds for the terminal."""
    table = Table(title="mean return of an episode by true control steps", title_justify="left")
    heads = ("round", "true steps", "true task", "deviation", "simulator", "error at 16 on new data", "seconds")
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        error = "" if np.isnan(row.new_data_mse_16) else names.figure_of(row.new_data_mse_16)
        returns = (row.return_true_mean, row.return_true_std, row.return_simulated)
        cells = [f"{value:.0f}" for value in returns]
        table.add_row(str(row.round), f"{row.true_steps:,}", *cells, error, f"{row.seconds:.0f}")
    table.add_row("random", "", f"{random_return:.0f}", "", "", "", "")
    return table


@style.context("default")  # Whatever a matplotlibrc of the working folder says.
def plot_learning(rows: Sequence[LearningRow], evaluated: int, random_return: float, title: str, path: Path) -> None:
    """Draws returns by true steps, with a band of one standard error over `evaluated` episodes; writes a PNG."""
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    steps = np.array([row.true_steps for row in rows])
    mean, simulated = (
        np.array([getattr(row, f"return_{name}") for row in rows]) for name in ("true_mean", "simulated")
    )
    error = np.array([row.return_true_std for row in rows]) / evaluated**0.5
    [line] = axes.plot(steps, mean, marker="o", label="true task")
    axes.fill_between(steps, mean - error, mean + error, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.plot(steps, simulated, color=line.get_color(), linestyle="--", label="simulator")
    axes.axhline(random_return, color=names.GREY, linestyle=":", label="random actions, true task")
    axes.set(xlabel="control steps in the true task", ylabel="episode return", title=title)
    axes.set_xlim(left=0)
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside lower center", frameon=False, ncols=3)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)
