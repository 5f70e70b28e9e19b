"""What benchmarks of policies share: simulators made by commands, trainings run by commands, and what these leave."""

import csv
import functools
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from common import commit, hardware, write_table

from mosim.agents import random_return, read_divergences, read_returns
from mosim.core.frozen import Frozen
from mosim.tasks import load_task

Table = dict[tuple[str, ...], dict[str, str]]
"""Rows of a CSV by the columns that tell them apart."""


class Training(NamedTuple):
    """A policy's training as a row of results.

    Attributes:
      names: columns that tell it from the others.
      measured: the other columns; None where it is not finished, or not here.
      command: that trains it.
    """

    names: dict[str, str]
    measured: dict[str, Any] | None
    command: Sequence[str]


class Simulator(Frozen):
    """A simulator, and what its commands are given beside the task.

    Attributes:
      task: whose data it learns.
      collect, train: flags of `mosim collect` and `mosim train`.
    """

    task: str
    collect: tuple[str, ...] = ()
    train: tuple[str, ...] = ()


class Policies(Frozen):
    """A task's trainings.

    Attributes:
      task: what the policies learn.
      simulator: by its name.
      seeds: of the policies.
      flags: of `mosim zero-shot`.
    """

    task: str
    simulator: str
    seeds: tuple[int, ...]
    flags: tuple[str, ...] = ()


def make_simulators(simulators: Mapping[str, Simulator], folder: Path, workers: int) -> None:
    """Collects and trains what is not there yet, `workers` simulators at a time, into a folder each."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda name: _make(simulators[name], folder / name), simulators))


def _make(simulator: Simulator, folder: Path) -> None:
    data = folder / "data" / "train"
    run(["mosim", "collect", simulator.task, "--out", str(data), "--workers", "1", *simulator.collect])
    model = ["--out", str(model_of(folder)), "--resume", *simulator.train]
    run(["mosim", "train", simulator.task, "--data", str(data), *model])


def model_of(folder: Path) -> Path:
    """Of a simulator's folder, its run."""
    return folder / "model"


def run(command: Sequence[str]) -> None:
    """Prints a command of `mosim` and runs it, with the Python that runs this."""
    print(f"$ {shlex.join(command)}", flush=True)
    subprocess.run([str(Path(sys.executable).parent / command[0]), *command[1:]], check=True)


def recipe_of(folder: Path) -> dict[str, Any]:
    """What a policy was trained by."""
    return json.loads((folder / "run.json").read_text())["recipe"]


def random_of(task: str, folder: Path) -> float:
    """The return of random actions in the true task, each held as long as those of the policy in `folder`."""
    return _random(task, recipe_of(folder)["action_repeat"])


def measured_policy(task: str, folder: Path) -> dict[str, Any]:
    """What a training has come to."""
    last, diverged = read_returns(folder / "returns.csv")[-1], read_divergences(folder)
    return {
        "algorithm": recipe_of(folder)["algorithm"],
        "true_return": last.return_true_mean,
        "true_std": last.return_true_std,
        "simulated_return": last.return_simulated,
        "control_steps": last.steps,
        "seconds": last.wall_seconds,
        "eval_episodes": last.episodes,
        "training_episodes": diverged.episodes,
        "divergences": diverged.total,
        "random": random_of(task, folder),
    }


@functools.cache
def _random(task: str, action_repeat: int) -> float:
    return random_return(load_task(task), action_repeat=action_repeat).mean


def read_trainings(results: Path, key: Sequence[str]) -> Table:
    """A CSV of results; no rows where there is none."""
    if not results.is_file():
        return {}
    with results.open(newline="") as file:
        return {tuple(row[column] for column in key): row for row in csv.DictReader(file)}


def write_trainings(results: Path, trainings: Sequence[Training]) -> None:
    """Writes the CSV of trainings: what is measured of each, or else what the CSV said of it before.

    Hardware and commit of a row are those that its figures were first written down under.
    """
    known = read_trainings(results, tuple(trainings[0].names))
    rows: list[dict[str, str]] = []
    for names, measured, command in trainings:
        before = known.get(tuple(names.values()))
        if measured is not None:
            rows.append(_with_origin(names | measured, before or {}, command))
        elif before:
            rows.append(before)
    if rows:
        write_table(results, rows)


def _with_origin(figures: dict[str, Any], before: dict[str, str], command: Sequence[str]) -> dict[str, str]:
    told = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in figures.items()}
    if all(before.get(name) == value for name, value in told.items()):
        where = {name: before[name] for name in ("hardware", "commit")}
    else:
        where = {"hardware": hardware(), "commit": commit()}
    return told | where | {"command": shlex.join(command)}
