"""What Ray Tune costs beside the training, and what trials leave in storage and memory; docs/scaling.md draws on it.

    python benchmarks/tune_overhead.py

A sweep whose trials do nothing but report runs as `mosim sweep` has it, with the same settings, events and copies of
Tune's state: with one trial a CPU, with many, and with many that report often, so that what a sweep, a trial and a
report cost come apart. Trials run one a CPU, hand their processes on to one another, and make no checkpoints.

| item | of | measures |
| --- | --- | --- |
| start | sweep | seconds until the first trials are through |
| trial, report | sweep | seconds of wall clock and of the driver's CPU for each |
| driver memory | sweep | growth of the driver's resident memory over the whole sweep |
| snapshot | sweep | what a resume needs, written on and on: its size at the end, the seconds of the last, and of all |
| copy | sweep | the copy of it that is whole where a disk is full: its size, and the seconds of all |
| storage | sweep | files and bytes that a trial without checkpoints leaves |
| restore | sweep | seconds until a finished sweep stands again |
| checkpoint | a recipe | size within the first stage, with the optimiser's state; seconds to save, load and resume |
| dataset | a task | the training data's size in a node's object store; seconds to put it there, and to get at it |

Writes benchmarks/results/tune_overhead.csv, a row a measure.
"""

import functools
import itertools
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray
import tyro
from common import RESULTS, standard_episodes, write_rows
from ray import tune
from ray.experimental import get_object_locations
from ray.tune.callback import CallbackList
from ray.tune.execution.tune_controller import TuneController

from mosim.core.console import console, quiet
from mosim.data import EPISODE_STEPS, TRAINING_EPISODES
from mosim.experiments.sweep import FINISHED, TRAIN_SECONDS, plan_sweep, read_sweep
from mosim.experiments.tune import TrialEvent, run_sweep
from mosim.jobs import ray_cluster
from mosim.tasks import load_task
from mosim.training import Recipe, Trainer, TrainingData, load_recipe, load_simulator

_METRIC = "horizon_mse/16"

_TOLD = 10
"""How often a sweep's progress is printed."""

_ROUNDS = 5
"""Measurements of what is over in less than a second; their median counts."""

_EPISODES, _STEPS = 4, 100
"""Of the data that a checkpoint's simulator is trained on; its size does not depend on them."""

_GENTLY = {"steps": 1000, "minutes": None, "batch_size": 16, "learning_rate": 1e-6}
"""A stage that is quick to its first report, and goes nowhere on so little data."""


class Measure(NamedTuple):
    """One figure: of what, how much, in which unit."""

    item: str
    of: str
    value: float
    unit: str


class Sweep(NamedTuple):
    """What a sweep of trivial trials took.

    Attributes:
      seconds: of wall clock.
      cpu_seconds: of the driver.
      grown: the driver's resident memory, MB.
      snapshots: seconds of each.
      copies: seconds of all that the sweep does after steps of Tune's loop, which is to copy snapshots.
      folder: what it left.
    """

    seconds: float
    cpu_seconds: float
    grown: float
    snapshots: list[float]
    copies: float
    folder: Path


def main(
    trials: int = 1000,
    reports: int = 20,
    concurrent: int = 2,
    recipes: tuple[str, ...] = ("reacher-easy", "humanoid-walk"),
    dataset: str = "humanoid-walk",
    episodes: int = TRAINING_EPISODES,
    seed: int = 0,
    out: Path = RESULTS,
) -> None:
    """Measures, prints and saves.

    Args:
      trials: of each sweep, more than `concurrent`.
      reports: of a trial in the second sweep, 2 or more.
      concurrent: trials at a time.
      recipes: tasks whose recipes' checkpoints are measured.
      dataset: task whose training data go into the object store.
      episodes: of that dataset, of the standard length.
      seed: of the search, the weights and the data.
      out: folder that tune_overhead.csv is written to.
    """
    measures = []
    with tempfile.TemporaryDirectory() as folder, quiet(Path(folder) / "log"):
        with ray_cluster.started(num_cpus=concurrent):
            measures += sweep_measures(Path(folder), trials, reports, concurrent, seed)
            measures += dataset_measures(dataset, episodes)
        for name in recipes:
            measures += checkpoint_measures(Path(folder), name, seed)
    for item, of, value, unit in measures:
        print(f"{item:<24} {of:<14} {value:>10.4g} {unit}")
    told = {"trials": trials, "reports": reports, "concurrent": concurrent, "episodes": episodes, "seed": seed}
    rows = [measure._asdict() | {"value": float(f"{measure.value:.4g}")} | told for measure in measures]
    write_rows(out / "tune_overhead.csv", rows)


def sweep_measures(folder: Path, trials: int, reports: int, concurrent: int, seed: int) -> Iterator[Measure]:
    """What trials and reports cost; Ray must have been started with `concurrent` CPUs."""
    # What is imported and started but once is so before anything is measured.
    _sweep(folder / "first", concurrent, 1, concurrent, seed)
    start = _sweep(folder / "start", concurrent, 1, concurrent, seed)
    once = _sweep(folder / "once", trials, 1, concurrent, seed)
    often = _sweep(folder / "often", trials, reports, concurrent, seed)
    more, further = trials - concurrent, trials * (reports - 1)
    yield Measure("start", "sweep", start.seconds, "s")
    yield Measure("trial", "sweep", (once.seconds - start.seconds) / more, "s")
    yield Measure("trial, driver's CPU", "sweep", (once.cpu_seconds - start.cpu_seconds) / more, "s")
    yield Measure("report", "sweep", (often.seconds - once.seconds) / further, "s")
    yield Measure("report, driver's CPU", "sweep", (often.cpu_seconds - once.cpu_seconds) / further, "s")
    yield Measure("driver memory", "sweep", often.grown, "MB")
    snapshot = [file for file in (often.folder / "tune").iterdir() if file.is_file()]
    yield Measure("snapshot, size", "sweep", _megabytes(snapshot), "MB")
    yield Measure("snapshot, the last", "sweep", often.snapshots[-1], "s")
    yield Measure("snapshots, all", "sweep", sum(often.snapshots), "s")
    yield Measure("snapshots", "sweep", len(often.snapshots), "")
    yield Measure("copy, size", "sweep", _megabytes([often.folder / "state.zip"]), "MB")
    yield Measure("copies, all", "sweep", often.copies, "s")
    left = [file for file in often.folder.glob("tune/*/**/*") if file.is_file()]
    yield Measure("storage, files a trial", "sweep", len(left) / trials, "")
    yield Measure("storage, size a trial", "sweep", _megabytes(left) / trials, "MB")
    restored = _sweep(often.folder, trials, reports, concurrent, seed)
    yield Measure("restore", "sweep", restored.seconds, "s")


def _sweep(folder: Path, trials: int, reports: int, concurrent: int, seed: int) -> Sweep:
    """Runs a sweep as `mosim sweep` does, but for what its trials do; or again one that is through."""
    folder.mkdir(exist_ok=True)
    file = folder / "sweep.yaml"
    space = {"stages.0.learning_rate": {"loguniform": [1e-5, 1e-2]}, "model.bias.width": {"choice": [64, 128, 256]}}
    budget = {"trials": trials, "concurrent": concurrent}
    said = {"name": folder.name, "task": "reacher-easy", "space": space, "metric": _METRIC, "budget": budget}
    file.write_text(json.dumps(said | {"seed": seed}))
    plan = plan_sweep(read_sweep(file), file)
    trainable = tune.with_parameters(_report, reports=reports)
    told = _told(f"{folder.name}, {reports} reports a trial", plan.trial_count)
    resident, cpu = _resident(), _cpu_seconds()
    with _timed(TuneController, "save_to_dir") as snapshots, _timed(CallbackList, "on_step_end") as copies:
        seconds = _seconds(lambda: run_sweep(plan, str(folder), resume=True, on_event=told, trainable=trainable))
    return Sweep(seconds, _cpu_seconds() - cpu, _resident() - resident, snapshots, sum(copies), folder)


def _report(config: dict[str, Any], reports: int) -> None:
    for number in range(reports):
        error = config["draw"]["stages.0.learning_rate"] / (1 + number)
        tune.report({_METRIC: error, TRAIN_SECONDS: float(number), FINISHED: number + 1 == reports})


def _told(what: str, trials: int) -> Callable[[TrialEvent], None]:
    """Says, a few times, how many trials of a sweep have ended."""
    numbers, began = itertools.count(1), time.perf_counter()

    def tell(event: TrialEvent) -> None:
        if event.kind == "finished" and (number := next(numbers)) % max(1, trials // _TOLD) == 0:
            console.print(f"{what}: {number} of {trials} trials in {time.perf_counter() - began:.0f} s")

    return tell


def checkpoint_measures(folder: Path, name: str, seed: int) -> Iterator[Measure]:
    """What a checkpoint of a task's recipe costs, some steps into the first stage."""
    task = load_task(name)
    recipe = _shortened(load_recipe(task.facts.name, "geometry"), seed)
    data = TrainingData.of(standard_episodes(task, _EPISODES, _STEPS, seed), "benchmark")
    begin = functools.partial(Trainer, system=name, recipe=recipe, data=data, out=folder / name)
    trainer = begin()
    next(trainer.reports())
    path = trainer.save()
    yield Measure("checkpoint, size", name, _megabytes(path.iterdir()), "MB")
    yield Measure("checkpoint, weights", name, _megabytes([path / "weights.safetensors"]), "MB")
    yield Measure("checkpoint, save", name, _median(trainer.save), "s")
    yield Measure("checkpoint, load", name, _median(lambda: load_simulator(path)), "s")
    yield Measure("checkpoint, resume", name, _median(lambda: begin(resume=True)), "s")


def _shortened(recipe: Recipe, seed: int) -> Recipe:
    """A recipe whose first report comes in the middle of its first stage, and soon."""
    return recipe.model_copy(update={"stages": (recipe.stages[0].model_copy(update=_GENTLY),), "seed": seed})


def dataset_measures(name: str, episodes: int) -> Iterator[Measure]:
    """What a task's training data take of a node's object store; Ray must have been started."""
    facts, rows = load_task(name).facts, episodes * (EPISODE_STEPS + 1)
    arrays = [np.ones((rows, width), np.float32) for width in (facts.state_size, facts.nu)]
    began = time.perf_counter()
    reference = ray.put(arrays)
    put = time.perf_counter() - began
    size = get_object_locations([reference])[reference]["object_size"]
    yield Measure("dataset, object store", name, size / 1e6, "MB")
    yield Measure("dataset, put", name, put, "s")
    yield Measure("dataset, get", name, _median(lambda: ray.get(reference)), "s")


@contextmanager
def _timed(owner: type, method: str) -> Iterator[list[float]]:
    """The seconds of every call of a method while the block runs."""
    plain: Callable[..., Any] = getattr(owner, method)
    seconds: list[float] = []

    @functools.wraps(plain)
    def timed(*arguments: Any, **keywords: Any) -> Any:
        began = time.perf_counter()
        try:
            return plain(*arguments, **keywords)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, method, timed)
    try:
        yield seconds
    finally:
        setattr(owner, method, plain)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(_ROUNDS))


def _megabytes(files: Any) -> float:
    return sum(file.stat().st_size for file in files) / 1e6


def _resident() -> float:
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _cpu_seconds() -> float:
    """CPU time of this process and its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    tyro.cli(main)
