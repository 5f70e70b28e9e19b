"""What the benchmarks share: two things measured in turn, what is measured, and where a figure comes from."""

import csv
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch

from mosim.data import HELD_OUT_SEED_OFFSET, PoissonBehaviour, Trajectories, collect_episode
from mosim.models import LearnedModel, ModelConfig, Statistics
from mosim.tasks import Task, load_task

RESULTS = Path(__file__).parent / "results"

Rate = Callable[[], float]
"""Takes one measurement: units a second."""


class Comparison(NamedTuple):
    """Two rates, measured in turn.

    Attributes:
      ours, theirs: medians, in units a second.
      ratio: the median of the rounds' own ratios, each of two measurements next to one another.
    """

    ours: float
    theirs: float
    ratio: float


class Subject(NamedTuple):
    """A simulator whose weights are drawn at random: its cost is a trained one's.

    Attributes:
      task: whose system it models.
      model: knows a training set's statistics, so that its contacts are the data's.
      held_out: standard episodes that it has not seen.
    """

    task: Task
    model: LearnedModel
    held_out: Trajectories


def compare(ours: Rate, theirs: Rate, rounds: int) -> Comparison:
    """Measures both once a round, one right after the other, so that whatever else the machine does meets both."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return Comparison(
        *(statistics.median(column) for column in zip(*pairs, strict=True)),
        ratio=statistics.median(first / second for first, second in pairs),
    )


def rate_of(work: Callable[[], int], seconds: float) -> float:
    """Units a second of `work`, which returns how many it did, repeated for about `seconds` of wall clock."""
    done, started = work(), time.perf_counter()  # The first call, which may set things up, is not timed.
    done = 0
    while (elapsed := time.perf_counter() - started) < seconds or not done:
        done += work()
    return done / elapsed


def prepare(name: str, config: ModelConfig, episodes: int, steps: int, seed: int) -> Subject:
    """A simulator of a task, and held-out episodes.

    Args:
      name: of the task.
      config: of the simulator.
      episodes: standard episodes that the statistics are taken from, and as many held out, of `steps` physics steps.
      steps: see `episodes`.
      seed: of the episodes and the weights.
    """
    task = load_task(name)
    training = standard_episodes(task, episodes, steps, seed)
    torch.manual_seed(seed)
    starts = training.windows(1)
    statistics = Statistics.of(task.facts, training.states[starts], training.states[starts + 1])
    model = config.build(task.facts, statistics)
    held_out = standard_episodes(task, episodes, steps, seed + HELD_OUT_SEED_OFFSET)
    return Subject(task, model.eval().requires_grad_(False), held_out)


def standard_episodes(task: Task, episodes: int, steps: int, seed: int) -> Trajectories:
    """Standard data, in memory."""
    behaviour = PoissonBehaviour()
    return Trajectories.of(
        task.facts, [collect_episode(task, behaviour, steps, seed, index) for index in range(episodes)]
    )


def replay(subject: Subject, steps: int) -> Callable[[], int]:
    """A bare loop of `mj_step` in Python through the held-out episodes, `steps` at a call, on and on."""
    model, data = subject.task.model, mujoco.MjData(subject.task.model)
    trajectories, nq = subject.held_out, subject.task.facts.nq
    place = {"episode": 0, "step": 0}

    def go_on() -> int:
        if place["step"] + steps > trajectories.lengths[place["episode"]]:
            place.update(episode=(place["episode"] + 1) % len(trajectories), step=0)
        episode, step = trajectories.episode(place["episode"]), place["step"]
        if step == 0:
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:] = np.split(episode.states[0], [nq])
        for action in episode.actions[step : step + steps]:
            data.ctrl[:] = action
            mujoco.mj_step(model, data)
        place["step"] += steps
        return steps

    return go_on


def windows(trajectories: Trajectories, batch: int, horizon: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States `(batch, nq + nv)` of the trajectories, drawn with replacement, and the actions `(batch, horizon, nu)`."""
    rows = np.random.default_rng(seed).choice(trajectories.windows(horizon), batch)
    actions = trajectories.actions[rows[:, None] + np.arange(horizon)]
    return torch.from_numpy(trajectories.states[rows]).float(), torch.from_numpy(actions).float()


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes a CSV, each row with where it comes from."""
    where = origin()
    write_table(file, [row | where for row in rows])


def write_table(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows, which have the same keys, as a CSV."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def origin() -> dict[str, str]:
    """Hardware, versions, commit and command."""
    return {
        "hardware": hardware(),
        "torch": torch.__version__,
        "mujoco": mujoco.__version__,
        "commit": commit(),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def hardware() -> str:
    """The machine in words."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    words = f"{os.cpu_count()} x {names[0] if names else platform.machine()}"
    return f"{words}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else words


def commit() -> str:
    """The commit that is measured, with a mark where the tree, but for the results themselves, differs from it."""
    known = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)benchmarks/results")
    return (f"{known}-dirty" if changed else known) or "uncommitted"


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:  # A bare machine may have none.
        return ""
