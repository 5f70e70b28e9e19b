"""Returns in the true task against the length of the simulated episodes that a policy was trained in.

    python benchmarks/episode_lengths.py
    python benchmarks/episode_lengths.py --only cartpole

Every command that it runs is printed, can be repeated by hand, and goes on where it was stopped; the simulators are
those of benchmarks/zero_shot.py. Two trainings run at a time, one core each. Writes a row for each training into
benchmarks/results/episode_lengths.csv as soon as it is finished, draws docs/zero-shot/episode_lengths.png, and prints a
table. Rows of the CSV whose trainings are not in --out stay as they are.
"""

import itertools
import math
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tyro
from common import RESULTS
from return_plots import draw_points, print_markdown, return_panels, spread
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

from mosim.agents import load_policy_recipe
from mosim.core.configuration import read_yaml_model
from mosim.core.frozen import Frozen
from mosim.envs import StartKind
from mosim_analysis import names

KEY: tuple[str, ...] = ("task", "episode_steps", "start", "seed")
"""Columns that tell the trainings apart."""

_FOLDER = Path(__file__).parent


class Benchmark(Frozen):
    """What `episode_lengths.yaml` says: lengths are in control steps, each with each kind of starts."""

    simulators: dict[str, Simulator]
    episode_steps: tuple[int, ...]
    starts: tuple[StartKind, ...]
    tasks: tuple[Policies, ...]


def main(
    file: tyro.conf.Positional[Path] = _FOLDER / "episode_lengths.yaml",
    out: Path = Path("runs", "episode-lengths"),
    simulators: Path = Path("runs", "zero-shot", "simulators"),
    results: Path = RESULTS / "episode_lengths.csv",
    plot: Path = _FOLDER.parent / "docs" / "zero-shot" / "episode_lengths.png",
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
            _training(row, steps, start, seed, simulators, out)
            for row in rows
            for seed, steps, start in itertools.product(row.seeds, benchmark.episode_steps, benchmark.starts)
        ]

    write_trainings(results, trainings(benchmark.tasks))
    left = [training.command for training in trainings(chosen) if training.measured is None]
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(run, left):
            write_trainings(results, trainings(benchmark.tasks))
    known = read_trainings(results, KEY)
    _draw(benchmark, known, plot)
    _print_table(benchmark, known)


def _training(row: Policies, steps: int, start: StartKind, seed: int, simulators: Path, out: Path) -> Training:
    key = dict(zip(KEY, (row.task, str(steps), start, str(seed)), strict=True))
    folder = out / row.task / f"{steps}-{start}" / f"seed-{seed}"
    where = ["--out", str(folder), "--seed", str(seed), *_flags(row, steps), "--start", start]
    command = ["mosim", "zero-shot", str(model_of(simulators / row.simulator)), "--task", row.task, *where]
    measured = measured_policy(row.task, folder) if (folder / "policy").is_dir() else None
    return Training(key, measured, [*command, "--resume", "--no-video", *row.flags])


def _flags(row: Policies, steps: int) -> list[str]:
    """Of episodes of so many control steps, or up to an action more."""
    algorithm = dict(itertools.pairwise(row.flags)).get("--algorithm")
    repeat = load_policy_recipe(row.task, algorithm=algorithm).action_repeat
    return ["--max-episode-steps", str(math.ceil(steps / repeat))]


def _returns(known: Table, task: str, steps: int, start: str) -> list[float]:
    """True returns, of all seeds that are known."""
    return [float(row["true_return"]) for key, row in known.items() if key[:3] == (task, str(steps), start)]


def _print_table(benchmark: Benchmark, known: Table) -> None:
    """Prints medians over seeds as Markdown, with the lowest and the highest where there are several."""
    table = [["task", "starts", *map(str, benchmark.episode_steps)]]
    for row, start in itertools.product(benchmark.tasks, benchmark.starts):
        returns = (_returns(known, row.task, steps, start) for steps in benchmark.episode_steps)
        table.append([row.task, f"`{start}`", *map(spread, returns)])
    print_markdown(table, labels=2)


def _draw(benchmark: Benchmark, known: Table, path: Path) -> None:
    """Draws a panel a task, with a line for each kind of starts."""
    xlabel = "length of a simulated episode, control steps"
    with return_panels(path, [row.task for row in benchmark.tasks], benchmark.episode_steps, xlabel) as panels:
        for task, axes in panels.items():
            for start, style in names.styles(benchmark.starts).items():
                points = {steps: _returns(known, task, steps, start) for steps in benchmark.episode_steps}
                draw_points(axes, points, style.colour, f"start: {start}")
            if random := [float(row["random"]) for key, row in known.items() if key[0] == task]:
                axes.axhline(statistics.median(random), color=names.GREY, linestyle=":", label="random actions")


if __name__ == "__main__":
    tyro.cli(main)
