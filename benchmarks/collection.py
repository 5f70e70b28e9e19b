"""Physics steps a second of `collect`, beside bare `mj_step` loops in as many processes.

    python benchmarks/collection.py

Both simulate the same episodes from the same starts under the same controls. The collection also draws the starts and
the controls, encodes, checks and writes the files. Neither counts the time until its processes stand: the collection is
timed from the half to nine tenths of its episodes, between two reports while every actor is at work. Rounds of the two
alternate, so that whatever else the machine does meets both; the figures are medians. Collecting costs most, beside its
physics, where a step is cheap.

Some tasks let a robot settle before an episode begins: dm_control simulates 200 steps of cheetah that no dataset holds.
They are physics steps like the others and are counted; `settling_steps` says how many an episode has.

Writes benchmarks/results/collection.csv.
"""

import multiprocessing
import tempfile
import time
import warnings
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import tyro
from common import RESULTS, Comparison, compare, write_rows

from mosim.data import PoissonBehaviour, collect, collect_episode
from mosim.jobs import ray_cluster
from mosim.tasks import SuiteTask, load_system

DISTINCT_EPISODES = 10
"""Episodes that a bare loop runs again and again, so that drawing them takes no time of its own."""


def main(
    tasks: tuple[str, ...] = ("reacher-easy", "cheetah-run", "humanoid-walk"),
    seconds: float = 8.0,
    steps: int = 1000,
    workers: int = 2,
    rounds: int = 5,
    seed: int = 0,
) -> None:
    """Measures and writes the table.

    Args:
      tasks: what to simulate.
      seconds: about how long one measurement takes.
      steps: physics steps an episode.
      workers: processes of each kind.
      rounds: measurements of each kind; the median counts.
      seed: of the trajectories.
    """
    rows = []
    with ray_cluster.started(num_cpus=workers):
        for task in tasks:
            found, episodes = compare_collection(task, seconds, steps, workers, rounds, seed)
            rows.append(
                {
                    "task": task,
                    "collect_steps_per_second": round(found.ours),
                    "bare_steps_per_second": round(found.theirs),
                    "ratio": round(found.ratio, 3),
                    "episodes": episodes,
                    "steps": steps,
                    "settling_steps": settling_steps(task, seed),
                    "workers": workers,
                    "rounds": rounds,
                    "seed": seed,
                }
            )
            print(
                f"{task}: collect {found.ours:,.0f} steps/s, bare {found.theirs:,.0f} steps/s, ratio {found.ratio:.2f}"
            )
    write_rows(RESULTS / "collection.csv", rows)


def compare_collection(
    task: str, seconds: float, steps: int, workers: int, rounds: int, seed: int
) -> tuple[Comparison, int]:
    """Both rates, in physics steps a second, and the episodes of one collection; Ray must have been started."""
    settling = settling_steps(task, seed)
    rate = bare_rate(task, DISTINCT_EPISODES, steps, workers, seed)
    episodes = max(20 * workers, int(rate * seconds / steps))
    found = compare(
        lambda: collect_rate(task, episodes, steps, workers, seed) * (1 + settling / steps),
        lambda: bare_rate(task, episodes // 2, steps, workers, seed),
        rounds,
    )
    return found, episodes


def collect_rate(task: str, episodes: int, steps: int, workers: int, seed: int) -> float:
    """Recorded physics steps a second in the later half of a collection, while every actor is at work."""
    times: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        collect(
            task,
            Path(folder) / "data",
            episodes,
            steps,
            workers=workers,
            seed=seed,
            on_progress=lambda done, total: times.append((done, time.perf_counter())),
        )
    # Not to the very end: what the others have in hand at the first of the two reports, they have at the last too.
    steady = [(done, moment) for done, moment in times if 0.5 * episodes <= done <= 0.9 * episodes]
    (first, started), (last, ended) = steady[0], steady[-1]
    return (last - first) * steps / (ended - started)


def settling_steps(source: str, seed: int) -> int:
    """Physics steps that are simulated before an episode begins."""
    system = load_system(source)
    if not isinstance(system, SuiteTask):
        return 0
    physics: Any = system.environment.physics
    plain, counts = physics.step, []

    def counted(nstep: int = 1) -> None:
        counts.append(nstep)
        plain(nstep)

    physics.step = counted
    try:
        system.reset([seed])
    finally:
        del physics.step
    return sum(counts)


def bare_rate(task: str, episodes: int, steps: int, workers: int, seed: int) -> float:
    """Physics steps a second of `mj_step` loops in Python, in `workers` processes that do `episodes` between them."""
    context = multiprocessing.get_context("spawn")
    barrier, durations = context.Barrier(workers), context.Queue()
    share = -(-episodes // workers)
    processes = [
        context.Process(target=_step_bare, args=(task, share, steps, seed, barrier, durations)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    slowest = max(durations.get() for _ in processes)
    for process in processes:
        process.join()
    return share * workers * steps / slowest


def _step_bare(
    task: str, episodes: int, steps: int, seed: int, barrier: Barrier, durations: "multiprocessing.Queue[float]"
) -> None:
    warnings.simplefilter("ignore")
    system = load_system(task)
    model, data = system.model, mujoco.MjData(system.model)
    distinct = [
        collect_episode(system, PoissonBehaviour(), steps, seed, index)
        for index in range(min(DISTINCT_EPISODES, episodes))
    ]
    barrier.wait()
    started = time.perf_counter()
    for number in range(episodes):
        episode = distinct[number % len(distinct)]
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = np.split(episode.states[0], [model.nq])
        for action in episode.actions:
            data.ctrl[:] = action
            mujoco.mj_step(model, data)
    durations.put(time.perf_counter() - started)


if __name__ == "__main__":
    tyro.cli(main)
