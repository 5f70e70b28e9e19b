"""What trials of a sweep take of a node's memory, one alone and several at a time; docs/scaling.md draws on it.

    python benchmarks/trial_memory.py

Trials train on the data of a task, of realistic size, as those of `mosim sweep` do, and look at their own memory while
they train. Prints and saves, for each number of trials at a time, in MB:

| measure | what it is |
| --- | --- |
| private | what a trial's process has for itself, at most |
| shared | what it shares with other processes, at most: libraries, and the data in the object store |
| data | of the shared, what it has seen of the object store |
| object store | what the node's store holds, at most |

Writes benchmarks/results/trial_memory.csv, a row for each number of trials.
"""

import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import ray
import tyro
from common import RESULTS, standard_episodes, write_rows
from ray import tune
from ray._private.internal_api import node_stats

from mosim.core.console import quiet
from mosim.data import EPISODE_STEPS, TRAINING_EPISODES, Trajectories
from mosim.experiments.sweep import plan_sweep, read_sweep
from mosim.experiments.tune import run_sweep
from mosim.experiments.tune.simulator_trial import train_simulator_trial
from mosim.jobs import ray_cluster
from mosim.tasks import load_task
from mosim.training import TrainingData

_DIFFERENT = 4
"""Episodes that are collected; the others are copies of these, and take as much memory."""

_LOOK_SECONDS = 0.5

_CPUS = 0.5
"""Of a trial, so that several run at a time on few cores."""


def main(
    task: str = "humanoid-walk",
    trials: tuple[int, ...] = (1, 4),
    minutes: float = 0.5,
    episodes: int = TRAINING_EPISODES,
    seed: int = 0,
    out: Path = RESULTS,
) -> None:
    """Measures, prints and saves.

    Args:
      task: that is trained, by its recipe.
      trials: at a time.
      minutes: of training, each.
      episodes: of the data, of the standard length.
      seed: of the data and the trials.
      out: folder that trial_memory.csv is written to.
    """
    with tempfile.TemporaryDirectory() as folder, quiet(Path(folder) / "log"):
        data = _data(task, episodes, seed)
        measured = {number: _measured(Path(folder), task, data, number, minutes, seed) for number in trials}
    for number, sizes in measured.items():
        print(f"memory | trials={number} | MB: {', '.join(f'{name} {size:.1f}' for name, size in sizes.items())}")
    told = {"episodes": episodes, "minutes": minutes, "seed": seed}
    write_rows(
        out / "trial_memory.csv",
        [{"task": task, "trials": number} | sizes | told for number, sizes in measured.items()],
    )


def _data(name: str, episodes: int, seed: int) -> TrainingData:
    few = standard_episodes(load_task(name), _DIFFERENT, EPISODE_STEPS, seed)
    copies = [few.episode(index % _DIFFERENT) for index in range(episodes)]
    return TrainingData.of(Trajectories.of(few.facts, copies), "benchmark")


def _measured(folder: Path, task: str, data: TrainingData, trials: int, minutes: float, seed: int) -> dict[str, float]:
    """The mean over the trials of what each has at most, and what the store has at most."""
    folder /= str(trials)
    seen = folder / "seen"
    seen.mkdir(parents=True)
    file = folder / "sweep.yaml"
    said = {"name": "memory", "task": task, "minutes": minutes, "report_seconds": 20 * minutes, "seed": seed}
    space = {"stages.0.learning_rate": {"loguniform": [1e-4, 1e-3]}}
    budget = {"budget": {"trials": trials}, "resources": {"cpu": _CPUS}}
    file.write_text(json.dumps(said | budget | {"space": space, "metric": "horizon_mse/16"}))
    plan = plan_sweep(read_sweep(file), file)
    with ray_cluster.started(num_cpus=max(1, round(trials * _CPUS))):
        trainable = tune.with_parameters(_train, plan=plan, data={"reference": ray.put(data)}, seen=seen)
        stored: list[float] = []
        results = run_sweep(plan, str(folder), trainable=trainable, on_event=lambda event: stored.append(_stored()))
    if odd := [result for result in results if result.status != "finished"]:
        raise RuntimeError(f"not all trials finished: {odd}")
    looks = [json.loads(each.read_text()) for each in seen.iterdir()]
    return {name: float(np.mean([look[name] for look in looks])) for name in looks[0]} | {"object store": max(stored)}


def _stored() -> float:
    """MB in this node's object store."""
    node = ray.nodes()[0]
    stats = node_stats(node["NodeManagerAddress"], node["NodeManagerPort"]).store_stats
    return stats.object_store_bytes_used / 1e6


def _train(config: dict[str, Any], plan: Any, data: dict[str, Any], seen: Path) -> None:
    """A trial, which leaves what it had of memory in a file of `seen`."""
    most: dict[str, float] = {}
    through = threading.Event()

    def look() -> None:
        while not through.wait(_LOOK_SECONDS):
            most.update({name: max(size, most.get(name, 0.0)) for name, size in _memory().items()})

    looking = threading.Thread(target=look)
    looking.start()
    try:
        train_simulator_trial(config, plan=plan, data=data, registry=None, device="cpu")
    finally:
        through.set()
        looking.join()
    (seen / str(tune.get_context().get_trial_id())).write_text(json.dumps(most))


def _memory() -> dict[str, float]:
    """Of this process, in MB."""
    whole = _sizes(Path("/proc/self/smaps_rollup").read_text())
    store = [each for each in Path("/proc/self/smaps").read_text().split("VmFlags:") if "/plasma" in each]
    return {
        "private": whole["Private_Clean"] + whole["Private_Dirty"],
        "shared": whole["Shared_Clean"] + whole["Shared_Dirty"],
        "data": sum(sizes["Shared_Clean"] + sizes["Shared_Dirty"] for sizes in map(_sizes, store)),
    }


def _sizes(text: str) -> dict[str, float]:
    rows = [line.split() for line in text.splitlines() if line.endswith(" kB")]
    return {name.rstrip(":"): int(size) * 1024 / 1e6 for name, size, _ in rows}


if __name__ == "__main__":
    tyro.cli(main)
