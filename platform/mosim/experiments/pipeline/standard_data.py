"""Standard data for commands that were given none, collected where they are missing."""

import os
from pathlib import Path

from mosim.core.console import console
from mosim.core.errors import DamagedFileError, MosimError
from mosim.data import Collection, Dataset, StandardData
from mosim.experiments.pipeline.collection import collect_trajectories
from mosim.robots import System, label_of

STANDARD = StandardData()

TRAINING_SUFFIX, HELD_OUT_SUFFIX = "", "-held-out"

_DATA = Path("data")


def default_dataset(system: System, wanted: Collection, suffix: str) -> Dataset:
    """The dataset in `data/<task><suffix>`: as it is where it is complete, else `wanted`, collected now.

    Raises:
      MismatchError: the beginning of another dataset lies there.
    """
    name = label_of(system.source)
    folder = _DATA / f"{name}{suffix}"
    if found := complete_dataset(folder):
        console.print(f"no --data is given: using the {found.metadata.episodes} episodes in {folder}")
        return found
    console.print(
        f"no --data is given: collecting standard data, {wanted.episodes} episodes of {wanted.steps} physics steps, "
        f"into {folder}",
    )
    return collect_wanted(system, folder, wanted, os.cpu_count() or 1, f"collect {name}{suffix}")


def collect_wanted(system: System, folder: str | Path, wanted: Collection, workers: int, label: str) -> Dataset:
    """Collects `wanted` into `folder`, or what is missing of it."""
    dataset, _ = collect_trajectories(
        source=system.source,
        out=folder,
        episodes=wanted.episodes,
        steps=wanted.steps,
        behaviour=wanted.behaviour,
        workers=workers,
        seed=wanted.seed,
        label=label,
    )
    return dataset


def complete_dataset(folder: Path) -> Dataset | None:
    """The dataset in a folder; None where it is not complete, or is none."""
    try:
        dataset = Dataset.open(folder)
    except DamagedFileError:
        raise
    except MosimError:
        return None
    return dataset if dataset.metadata.complete else None
