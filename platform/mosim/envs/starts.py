"""Where episodes start: in the task's own initial states, in states of a dataset, or half of them in each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors
from pydantic import InstanceOf
from safetensors.numpy import load_file, save_file

from mosim.core.arguments import checked
from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.files import atomic_path
from mosim.data import Dataset
from mosim.robots import EpisodeStart, label_of, require_fit
from mosim.tasks import Task

StartKind = Literal["initial", "data", "mixed"]
"""The task's own initial states, states of a dataset, or each for every other episode."""

Starts = Callable[[Sequence[int]], EpisodeStart]
"""Draws the start of an episode from integers: seed, index of the env, number of the episode."""

STATES = 10_000
"""States that are taken of a dataset at most."""

_STATES_SEED = 0
_STREAM = 1
"""Key of the stream that a dataset's states are drawn from; a task draws its own from the integers themselves."""


@dataclass(frozen=True, repr=False)
class StartStates:
    """States of a dataset to start from.

    Attributes:
      states: `(n, nq + nv)`.
      contexts: of their episodes, `(n, context_size)`; of width 0 where the task is to draw one for each start.
    """

    states: np.ndarray
    contexts: np.ndarray

    def __repr__(self) -> str:
        return f"StartStates(states={self.states.shape}, contexts={self.contexts.shape})"

    @classmethod
    def of(cls, dataset: Dataset, task: Task, count: int = STATES) -> "StartStates":
        """Draws `count` states of a dataset at random, or takes all where there are fewer; the same at every call.

        The contexts of a dataset that another task has made mean something else, and are left out.

        Raises:
          MismatchError: the dataset is of another system than the task's.
          DamagedFileError: a file of it is missing or damaged.
        """
        require_fit(dataset.facts, task.facts, f"the dataset at {dataset.uri}", task.name)
        rows = sum(shard.rows for shard in dataset.metadata.shards)
        random = np.random.default_rng(_STATES_SEED)
        chosen = np.sort(random.choice(rows, min(count, rows), replace=False))
        states, contexts, first = [], [], 0
        for part in dataset.parts():
            within = chosen[(chosen >= first) & (chosen < first + len(part.states))] - first
            states.append(part.states[within])
            contexts.append(part.contexts[np.searchsorted(part.offsets, within, side="right") - 1])
            first += len(part.states)
        known = dataset.metadata.source == task.source
        return cls(np.concatenate(states), np.concatenate(contexts)[:, : task.context_size if known else 0])

    @classmethod
    def load(cls, path: Path) -> "StartStates":
        """Reads what `save` wrote.

        Raises:
          DamagedFileError: the file is not what was written.
        """
        try:
            return cls(**load_file(path))
        except (safetensors.SafetensorError, OSError, TypeError) as error:
            raise DamagedFileError(f"{path} has no start states that can be read: {error}.") from None

    def save(self, path: Path) -> None:
        """Writes them to a file, whole or not at all."""
        with atomic_path(path) as aside:
            save_file({"states": self.states, "contexts": self.contexts}, aside)


@checked
def make_starts(kind: StartKind, task: Task, known: InstanceOf[StartStates] | None = None) -> Starts:
    """What draws the starts of episodes.

    Args:
      kind: where they are.
      task: draws its own initial states, and contexts that are not known.
      known: the states of a dataset; needed unless `kind` is initial.

    Raises:
      MosimError: there is no such kind, or it needs states of a dataset and there are none.
    """
    if kind == "initial":
        return task.reset
    if known is None:
        raise MosimError(f"starts of kind {kind!r} need the states of a dataset.")

    def draw(seed: Sequence[int]) -> EpisodeStart:
        # Every other episode of an env, and every other env at any time.
        if kind == "mixed" and sum(seed) % 2 == 0:
            return task.reset(seed)
        stream = np.random.SeedSequence(list(seed), spawn_key=(_STREAM,))
        row = np.random.default_rng(stream).integers(len(known.states))
        context = known.contexts[row] if known.contexts.shape[1] == task.context_size else task.reset(seed).context
        return EpisodeStart(known.states[row].copy(), context.copy())

    return draw


def find_dataset(checkpoint: str | Path) -> Dataset:
    """Finds the dataset that a simulator was trained on: beside its run's folder, or where commands put it by default.

    Raises:
      MosimError: it is in none of these places; names them.
    """
    from mosim.training import read_checkpoint  # Which brings Ray.

    trained = read_checkpoint(checkpoint)
    beside = trained.path.absolute().parents[2] / "data"
    places = [beside / "train", beside / label_of(trained.system), Path("data", label_of(trained.system))]
    for place in places:
        try:
            dataset = Dataset.open(place)
        except DamagedFileError:
            raise
        except MosimError:
            continue
        if dataset.id == trained.dataset_id:
            return dataset
    raise MosimError(
        f"the dataset {trained.dataset_id}, on which the simulator in {trained.path} was trained, is in none of "
        f"{', '.join(map(str, places))}; give its path as data."
    )


def start_states(task: Task, data: str | Path | None, checkpoint: str | Path | None) -> StartStates:
    """The states of a dataset, or those that `StartStates.save` has written.

    Args:
      task: that starts there.
      data: path or URI of a dataset, or the path of a file; None for the data that the simulator was trained on.
      checkpoint: the simulator's.

    Raises:
      MosimError: there are no such data; `MismatchError`: they are of another system.
    """
    if data is None and checkpoint is None:
        raise MosimError(f"to start episodes of {task.name} in states of a dataset, give the dataset: data=PATH.")
    if data is not None and "://" not in str(data) and Path(data).is_file():
        return StartStates.load(Path(data))
    return StartStates.of(find_dataset(str(checkpoint)) if data is None else Dataset.open(data), task)
