"""A dataset as training wants it: single precision, and its scales measured once."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.data import Dataset, Trajectories, window_starts
from mosim.models import Statistics
from mosim.robots import SystemFacts, require_fit


class TrainingData(NamedTuple):
    """What a trainer takes of a dataset.

    The arrays are numpy's, which processes of one machine share without a copy where they pass them through Ray's
    object store; nothing writes to them.

    Attributes:
      facts: the system.
      dataset_id: of the dataset.
      states: `(rows, nq + nv)`, float32, as in `mosim.data.Trajectories`.
      actions: `(rows, nu)`, float32.
      offsets: `(episodes + 1,)`, int64.
      statistics: the scales of all of it.
      newest: the first episode of the last of several datasets; 0 where there is one.
    """

    facts: SystemFacts
    dataset_id: str
    states: np.ndarray
    actions: np.ndarray
    offsets: np.ndarray
    statistics: Statistics
    newest: int = 0

    @classmethod
    def load(cls, dataset: Dataset, *others: Dataset) -> "TrainingData":
        """Reads a dataset, or the union of several of one system, whose double precision is gone again afterwards.

        Raises:
          MosimError: as `Dataset.load`.
          MismatchError: they are of different systems.
        """
        if not others:
            return cls.of(dataset.load(), dataset.id)
        for other in others:
            require_fit(other.facts, dataset.facts, f"the dataset at {other.uri}")
        every = (dataset, *others)
        episodes = [part.episode(index) for each in every for part in (each.load(),) for index in range(len(part))]
        union = cls.of(Trajectories.of(dataset.facts, episodes), "+".join(each.id for each in every))
        return union._replace(newest=len(episodes) - every[-1].metadata.episodes)

    @classmethod
    def of(cls, trajectories: Trajectories, dataset_id: str) -> "TrainingData":
        """Takes what training needs of trajectories; `dataset_id` says which they are."""
        # The statistics first, whose copies are gone again before the arrays are copied.
        statistics = _statistics(trajectories.facts, trajectories.states, trajectories.offsets)
        states, actions = (part.astype(np.float32) for part in (trajectories.states, trajectories.actions))
        return cls(trajectories.facts, dataset_id, states, actions, trajectories.offsets, statistics)

    @property
    def episodes(self) -> int:
        """How many episodes there are."""
        return len(self.offsets) - 1

    def first(self, episodes: int | None) -> "TrainingData":
        """The first episodes alone, without a copy, and their own scales; itself where all of them are meant.

        Raises:
          MosimError: there are fewer.
        """
        if episodes is None or episodes == self.episodes:
            return self
        if episodes > self.episodes:
            raise MosimError(
                f"the recipe uses the first {episodes} episodes, but the dataset has only {self.episodes}."
            )
        offsets = self.offsets[: episodes + 1]
        states, actions = self.states[: offsets[-1]], self.actions[: offsets[-1]]
        statistics = _statistics(self.facts, states, offsets)
        newest = self.newest if self.newest < episodes else 0
        return self._replace(states=states, actions=actions, offsets=offsets, statistics=statistics, newest=newest)

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """States and actions on a device; on the CPU they are the arrays themselves."""
        with warnings.catch_warnings():
            # Arrays of the object store are read-only, of which torch would warn: it cannot know that nothing writes.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(self.states).to(device), torch.from_numpy(self.actions).to(device)


def _statistics(facts: SystemFacts, states: np.ndarray, offsets: np.ndarray) -> Statistics:
    starts = window_starts(offsets, 1)
    starts = starts[:: max(1, len(starts) // Statistics.SAMPLE)]
    return Statistics.of(facts, states[starts], states[starts + 1])
