"""What policies are worth in the true task that were trained in a simulator alone.

    python benchmarks/zero_shot.py
    python benchmarks/zero_shot.py --only reacher

Every command that it runs is printed, can be repeated by hand, and goes on where it was stopped. Two simulators, or the
two trainings of a comparison, run at a time, one core each. Writes a row for each task and seed into
benchmarks/results/zero_shot.csv as soon as it is finished, and a plot of each task's returns into docs/zero-shot;
prints the README's table. Rows of the CSV whose trainings are not in --out stay as they are.
"""

import statistics
from pathlib import Path
from typing import Any

import tyro
from common import RESULTS
from zero_shot_runs import (
    Policies,
    Simulator,
    Table,
    Training,
    make_simulators,
    model_of,
    random_of,
    read_trainings,
    recipe_of,
    run,
    write_trainings,
)

from mosim.agents import plot_returns, read_divergences, read_returns
from mosim.core.configuration import read_yaml_model
from mosim.core.frozen import Frozen

KEY = ("task", "seed")
"""Columns that tell the trainings apart."""

_FOLDER = Path(__file__).parent


class Row(Policies):
    """A task's trainings, and what is to come of them.

    Attributes:
      asked_return: median true return of the zero-shot policies that is aimed at.
      asked_ratio: of that to the true-trained ones'.
      paper: what the MoSim paper says of the task.
    """

    asked_return: float | None = None
    asked_ratio: float | None = None
    paper: str = ""


class Benchmark(Frozen):
    """What `zero_shot.yaml` says."""

    simulators: dict[str, Simulator]
    rows: tuple[Row, ...]


def main(
    file: tyro.conf.Positional[Path] = _FOLDER / "zero_shot.yaml",
    out: Path = Path("runs", "zero-shot"),
    results: Path = RESULTS / "zero_shot.csv",
    plots: Path = _FOLDER.parent / "docs" / "zero-shot",
    only: str = "",
    workers: int = 2,
) -> None:
    """Trains what is left to train, and writes what has come of it.

    Args:
      file: what to measure.
      out: folder of datasets, simulators and policies.
      results: the CSV.
      plots: folder of the plots.
      only: rows whose task has this in its name.
      workers: simulators that are trained at a time.
    """
    benchmark = read_yaml_model(file, Benchmark)
    chosen = [row for row in benchmark.rows if only in row.task]
    wanted = {row.simulator: benchmark.simulators[row.simulator] for row in chosen}
    make_simulators(wanted, out / "simulators", workers)
    for row in chosen:
        for seed in row.seeds:
            run(_command(row, seed, out))
            trainings = [_training(each, seed, out) for each in benchmark.rows for seed in each.seeds]
            write_trainings(results, trainings)
        _plot(row, out, plots)
    _print_table(benchmark, read_trainings(results, KEY))


def _command(row: Row, seed: int, out: Path) -> list[str]:
    simulator = model_of(out / "simulators" / row.simulator)
    where = ["--out", str(_folder(row, seed, out)), "--seed", str(seed)]
    return ["mosim", "zero-shot", str(simulator), "--task", row.task, *where, "--compare", "--resume", *row.flags]


def _folder(row: Row, seed: int, out: Path) -> Path:
    return out / row.task / f"seed-{seed}"


def _training(row: Row, seed: int, out: Path) -> Training:
    folder = _folder(row, seed, out)
    measured = _measured(row, folder) if (folder / "true-trained" / "policy").is_dir() else None
    return Training({"task": row.task, "seed": str(seed)}, measured, _command(row, seed, out))


def _measured(row: Row, folder: Path) -> dict[str, Any]:
    ours, theirs = (read_returns(each / "returns.csv")[-1] for each in (folder, folder / "true-trained"))
    diverged = read_divergences(folder)
    return {
        "algorithm": recipe_of(folder)["algorithm"],
        "true_return": ours.return_true_mean,
        "true_std": ours.return_true_std,
        "simulated_return": ours.return_simulated,
        "true_trained_return": theirs.return_true_mean,
        "ratio": ours.return_true_mean / theirs.return_true_mean,
        "control_steps": ours.steps,
        "seconds": ours.wall_seconds,
        "true_trained_seconds": theirs.wall_seconds,
        "eval_episodes": ours.episodes,
        "training_episodes": diverged.episodes,
        "divergences": diverged.total,
        "asked_return": "" if row.asked_return is None else row.asked_return,
        "asked_ratio": "" if row.asked_ratio is None else row.asked_ratio,
        "random": random_of(row.task, folder),
    }


def _print_table(benchmark: Benchmark, known: Table) -> None:
    """Prints medians over seeds as Markdown."""
    columns = [
        "task",
        "seeds",
        "paper",
        "algorithm",
        "zero-shot",
        "in the simulator",
        "true-trained",
        "ratio",
        "random",
        "steps",
        "minutes",
    ]
    table = [columns, ["---"] * len(columns)]
    for row in benchmark.rows:
        if rows := [known[row.task, str(seed)] for seed in row.seeds if (row.task, str(seed)) in known]:
            returns = [
                f"{_median(rows, name):.0f}" for name in ("true_return", "simulated_return", "true_trained_return")
            ]
            ratio, random = f"{_median(rows, 'ratio'):.2f}", f"{_median(rows, 'random'):.0f}"
            steps, minutes = f"{_median(rows, 'control_steps') / 1e6:.1f} M", f"{_median(rows, 'seconds') / 60:.1f}"
            about = [row.task, str(len(rows)), row.paper, rows[0]["algorithm"]]
            table.append([*about, *returns, ratio, random, steps, minutes])
    print("", *(f"| {' | '.join(cells)} |" for cells in table), sep="\n")


def _median(rows: list[dict[str, str]], column: str) -> float:
    return statistics.median(float(row[column]) for row in rows)


def _plot(row: Row, out: Path, plots: Path) -> None:
    """Draws the seed whose zero-shot return is the median."""
    plots.mkdir(parents=True, exist_ok=True)
    returns = {seed: read_returns(_folder(row, seed, out) / "returns.csv") for seed in row.seeds}
    median = statistics.median_low([rows[-1].return_true_mean for rows in returns.values()])
    seed = next(seed for seed, rows in returns.items() if rows[-1].return_true_mean == median)
    trainings = {"zero-shot": _folder(row, seed, out), "true-trained": _folder(row, seed, out) / "true-trained"}
    plot_returns(
        {name: read_returns(folder / "returns.csv") for name, folder in trainings.items()},
        random_of(row.task, trainings["zero-shot"]),
        f"{row.task}, seed {seed}",
        plots / f"{row.task}.png",
    )


if __name__ == "__main__":
    tyro.cli(main)
