"""What a policy is worth in the true task by how long the simulated episodes were that it was trained in.

    python benchmarks/horizons.py
    python benchmarks/horizons.py --only cartpole

Every command that it runs is printed, can be repeated by hand, and goes on where it was stopped; the simulators are
those of benchmarks/zero_shot.py. Two trainings run at a time, one core each. Writes a row for each training into
benchmarks/results/horizons.csv as soon as it is finished, draws docs/zero-shot/horizons.png, and prints a table. Rows
of the CSV whose trainings are not in --out stay as they are.
"""

import itertools
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import tyro
from common import RESULTS
from zero_shot_runs import (
    Policies,
    Simulator,
    Table,
    Training,
    make_simulators,
    measured_policy,
    model_of,
    read_trainings,
    run,
    write_trainings,
)

from mosim.core.configuration import read_yaml_model
from mosim.core.files import atomic_path
from mosim.core.frozen import Frozen
from mosim.envs import StartKind
from mosim_analysis import names

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

KEY: tuple[str, ...] = ("task", "horizon", "start", "seed")
"""Columns that tell the trainings apart."""

_FOLDER = Path(__file__).parent


class Benchmark(Frozen):
    """What `horizons.yaml` says: each task is trained at each horizon, in control steps, from each kind of starts."""

    simulators: dict[str, Simulator]
    horizons: tuple[int, ...]
    starts: tuple[StartKind, ...]
    tasks: tuple[Policies, ...]


def main(
    file: tyro.conf.Positional[Path] = _FOLDER / "horizons.yaml",
    out: Path = Path("runs", "horizons"),
    simulators: Path = Path("runs", "zero-shot", "simulators"),
    results: Path = RESULTS / "horizons.csv",
    plot: Path = _FOLDER.parent / "docs" / "zero-shot" / "horizons.png",
    only: str = "",
    workers: int = 2,
) -> None:
    """Trains what is left to train, and writes what has come of it.

    Args:
      file: what to measure.
      out: folder of the policies.
      simulators: folder of datasets and simulators.
      results: the CSV.
      plot: the plot.
      only: tasks that have this in their name.
      workers: trainings at a time.
    """
    benchmark = read_yaml_model(file, Benchmark)
    chosen = [row for row in benchmark.tasks if only in row.task]
    make_simulators({row.simulator: benchmark.simulators[row.simulator] for row in chosen}, simulators, workers)

    def trainings(rows: list[Policies] | tuple[Policies, ...]) -> list[Training]:
        return [
            _training(row, horizon, start, seed, simulators, out)
            for row in rows
            for seed, horizon, start in itertools.product(row.seeds, benchmark.horizons, benchmark.starts)
        ]

    write_trainings(results, trainings(benchmark.tasks))
    left = [training.command for training in trainings(chosen) if training.measured is None]
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(run, left):
            write_trainings(results, trainings(benchmark.tasks))
    known = read_trainings(results, KEY)
    _draw(benchmark, known, plot)
    _print_table(benchmark, known)


def _training(row: Policies, horizon: int, start: StartKind, seed: int, simulators: Path, out: Path) -> Training:
    key = dict(zip(KEY, (row.task, str(horizon), start, str(seed)), strict=True))
    folder = out / row.task / f"{horizon}-{start}" / f"seed-{seed}"
    where = ["--out", str(folder), "--seed", str(seed), "--horizon", str(horizon), "--start", start]
    command = ["mosim", "zero-shot", str(model_of(simulators / row.simulator)), "--task", row.task, *where]
    measured = measured_policy(row.task, folder) if (folder / "policy").is_dir() else None
    return Training(key, measured, [*command, "--resume", "--no-video", *row.flags])


def _returns(known: Table, task: str, horizon: int, start: str) -> list[float]:
    """True returns, of all seeds that are known."""
    return [float(row["true_return"]) for key, row in known.items() if key[:3] == (task, str(horizon), start)]


def _print_table(benchmark: Benchmark, known: Table) -> None:
    """Prints medians over seeds as Markdown, with the lowest and the highest where there are several."""
    table = [["task", "starts", *(f"{horizon}" for horizon in benchmark.horizons)]]
    table.append(["---", "---", *("---:" for _ in benchmark.horizons)])
    for row, start in itertools.product(benchmark.tasks, benchmark.starts):
        returns = (_returns(known, row.task, horizon, start) for horizon in benchmark.horizons)
        table.append([row.task, f"`{start}`", *map(_cell, returns)])
    print("", *(f"| {' | '.join(cells)} |" for cells in table), sep="\n")


def _cell(returns: list[float]) -> str:
    if not returns:
        return ""
    spread = f" ({min(returns):.0f} to {max(returns):.0f})" if len(returns) > 1 else ""
    return f"{statistics.median(returns):.0f}{spread}"


def _draw(benchmark: Benchmark, known: Table, path: Path) -> None:
    """Draws medians over seeds as lines, each seed as a point, a panel a task."""
    width = 4.0 * len(benchmark.tasks)
    figure, panels = plt.subplots(1, len(benchmark.tasks), figsize=(width, 3.6), layout="constrained", squeeze=False)
    for axes, row in zip(panels[0], benchmark.tasks, strict=True):
        _draw_task(axes, benchmark, known, row.task)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)


def _draw_task(axes: Axes, benchmark: Benchmark, known: Table, task: str) -> None:
    for start, style in names.styles(benchmark.starts).items():
        points = {horizon: _returns(known, task, horizon, start) for horizon in benchmark.horizons}
        points = {horizon: returns for horizon, returns in points.items() if returns}
        medians = [statistics.median(returns) for returns in points.values()]
        axes.plot(list(points), medians, color=style.colour, label=f"start: {start}")
        for horizon, returns in points.items():
            axes.plot([horizon] * len(returns), returns, "o", color=style.colour, markersize=4)
    if random := [float(row["random"]) for key, row in known.items() if key[0] == task]:
        axes.axhline(statistics.median(random), color=names.GREY, linestyle=":", label="random actions")
    axes.set(xscale="log", xlabel="simulated horizon, control steps", ylabel="return in the true task", title=task)
    axes.set_xticks(benchmark.horizons, [str(horizon) for horizon in benchmark.horizons])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)


if __name__ == "__main__":
    tyro.cli(main)
