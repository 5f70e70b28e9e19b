"""Returns in the true task against the number of episodes that a policy's simulator was trained on.

    python benchmarks/episode_returns.py
    python benchmarks/episode_returns.py --only cheetah --workers 1

Every command that it runs is printed, can be repeated by hand, and goes on where it was stopped. One seed of every task
is finished before the next begins. Writes a row for each training into benchmarks/results/episode_returns.csv as soon
as it is finished, draws docs/zero-shot/episodes.png, and prints a table. Rows of the CSV whose trainings are not in
--out stay as they are.
"""

import itertools
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tyro
from common import RESULTS
from return_plots import draw_points, print_markdown, return_panels, spread
from zero_shot_runs import (
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
from mosim.core.frozen import Frozen
from mosim_analysis import names

KEY = ("task", "trained_in", "episodes", "seed")
"""Columns that tell the trainings apart; a policy of the true task has no episodes."""

SIMULATOR, TRUE_TASK = "simulator", "true task"

_FOLDER = Path(__file__).parent


class Benchmark(Frozen):
    """What `episode_returns.yaml` says: each task is trained under each seed from each number of episodes."""

    episodes: tuple[int, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    flags: tuple[str, ...] = ()


def main(
    file: tyro.conf.Positional[Path] = _FOLDER / "episode_returns.yaml",
    out: Path = Path("runs", "episode-returns"),
    results: Path = RESULTS / "episode_returns.csv",
    plot: Path = _FOLDER.parent / "docs" / "zero-shot" / "episodes.png",
    only: str = "",
    workers: int = 2,
) -> None:
    """Trains what is left to train, and writes what has come of it.

    Args:
      file: what to measure.
      out: folder of datasets, simulators and policies.
      results: the CSV.
      plot: the plot.
      only: tasks that have this in their name.
      workers: simulators, or commands of `mosim zero-shot`, at a time; the one that compares trains two policies.
    """
    benchmark = read_yaml_model(file, Benchmark)
    write_trainings(results, _trainings(benchmark, out))
    for seed in benchmark.seeds:
        for task in (task for task in benchmark.tasks if only in task):
            simulators = {
                str(episodes): Simulator(task=task, collect=("--episodes", str(episodes), "--seed", str(seed)))
                for episodes in benchmark.episodes
            }
            make_simulators(simulators, _folder(out, task, seed), workers)
            commands = [_command(benchmark, out, task, seed, episodes) for episodes in benchmark.episodes]
            with ThreadPoolExecutor(workers) as pool:
                for _ in pool.map(run, commands):
                    write_trainings(results, _trainings(benchmark, out))
    known = read_trainings(results, KEY)
    _draw(benchmark, known, plot)
    _print_table(benchmark, known)


def _folder(out: Path, task: str, seed: int) -> Path:
    return out / task / f"seed-{seed}"


def _policy(out: Path, task: str, seed: int, episodes: int) -> Path:
    return _folder(out, task, seed) / str(episodes) / "zero-shot"


def _command(benchmark: Benchmark, out: Path, task: str, seed: int, episodes: int) -> list[str]:
    """Trains in the simulator of so many episodes; the one with the most in the true task as well."""
    model = model_of(_folder(out, task, seed) / str(episodes))
    where = ["--out", str(_policy(out, task, seed, episodes)), "--seed", str(seed)]
    compare = ["--compare"] if episodes == max(benchmark.episodes) else []
    return [
        "mosim",
        "zero-shot",
        str(model),
        "--task",
        task,
        *where,
        *compare,
        "--no-video",
        "--resume",
        *benchmark.flags,
    ]


def _trainings(benchmark: Benchmark, out: Path) -> list[Training]:
    trainings: list[Training] = []
    for task, seed in itertools.product(benchmark.tasks, benchmark.seeds):
        for episodes in benchmark.episodes:
            folder = _policy(out, task, seed, episodes)
            trainings.append(_training((task, SIMULATOR, str(episodes), str(seed)), benchmark, out, folder))
        folder = _policy(out, task, seed, max(benchmark.episodes)) / "true-trained"
        trainings.append(_training((task, TRUE_TASK, "", str(seed)), benchmark, out, folder))
    return trainings


def _training(key: tuple[str, str, str, str], benchmark: Benchmark, out: Path, folder: Path) -> Training:
    task, _, episodes, seed = key
    command = _command(benchmark, out, task, int(seed), int(episodes or max(benchmark.episodes)))
    measured = measured_policy(task, folder) if (folder / "policy").is_dir() else None
    return Training(dict(zip(KEY, key, strict=True)), measured, command)


def _returns(
    known: Table, task: str, trained_in: str, episodes: int | None = None, column: str = "true_return"
) -> list[float]:
    """A column over all seeds that are known."""
    key = (task, trained_in, "" if episodes is None else str(episodes))
    return [float(row[column]) for found, row in known.items() if found[:3] == key]


def _print_table(benchmark: Benchmark, known: Table) -> None:
    """Prints medians over seeds as Markdown, with the lowest and the highest where there are several."""
    table = [["task", *(f"{episodes} episodes" for episodes in benchmark.episodes), "true-trained", "random", "seeds"]]
    for task in benchmark.tasks:
        cells = [spread(_returns(known, task, SIMULATOR, episodes)) for episodes in benchmark.episodes]
        trained = _returns(known, task, TRUE_TASK)
        random = _returns(known, task, TRUE_TASK, column="random")
        table.append([task, *cells, spread(trained), spread(random[:1]), str(len(trained))])
    print_markdown(table, labels=1)


def _draw(benchmark: Benchmark, known: Table, path: Path) -> None:
    """Draws a panel for each task that has figures, with true-trained policies as a dashed line."""
    tasks = [task for task in benchmark.tasks if any(found[0] == task for found in known)]
    style = names.styles([SIMULATOR, TRUE_TASK])
    with return_panels(path, tasks, benchmark.episodes, "episodes of random actions") as panels:
        for task, axes in panels.items():
            points = {episodes: _returns(known, task, SIMULATOR, episodes) for episodes in benchmark.episodes}
            draw_points(axes, points, style[SIMULATOR].colour, "zero-shot")
            if trained := _returns(known, task, TRUE_TASK):
                colour = style[TRUE_TASK].colour
                axes.axhline(statistics.median(trained), color=colour, linestyle="--", label="true-trained")
                axes.axhspan(min(trained), max(trained), color=colour, alpha=0.15)
                random = _returns(known, task, TRUE_TASK, column="random")
                axes.axhline(statistics.median(random), color=names.GREY, linestyle=":", label="random actions")


if __name__ == "__main__":
    tyro.cli(main)
