"""A dataset of trajectories: lazily opened, checked as it is loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.storage import Folder
from mosim.data.episodes import Episode
from mosim.data.metadata import METADATA_NAME, Metadata, Shard, read_metadata
from mosim.data.storage import ShardArrays, checksum, decode_shard
from mosim.robots import SystemFacts


@dataclass(frozen=True, repr=False)
class Trajectories:
    """Episodes one after the other, as training samples them.

    Attributes:
      facts: the system.
      states: `(rows, nq + nv)`, float64; an episode of T physics steps has T + 1 rows.
      actions: `(rows, nu)`, float64; row i holds what led from state i to state i + 1, and an episode's last row zeros.
      offsets: `(episodes + 1,)`, int64: episode e has rows `offsets[e]` to `offsets[e + 1] - 1`.
      contexts: `(episodes, context_size)`, float64; of width 0 where none is known.
    """

    facts: SystemFacts
    states: np.ndarray
    actions: np.ndarray
    offsets: np.ndarray
    contexts: np.ndarray

    @classmethod
    def of(cls, facts: SystemFacts, episodes: Sequence[Episode]) -> "Trajectories":
        """Joins episodes of one system; their indices are not kept."""
        idle = np.zeros((1, facts.nu))
        return cls(
            facts,
            np.concatenate([episode.states for episode in episodes]),
            np.concatenate([part for episode in episodes for part in (episode.actions, idle)]),
            np.concatenate([[0], np.cumsum([len(episode.states) for episode in episodes])]),
            np.stack([episode.context for episode in episodes]),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return (
            f"Trajectories(system={self.facts.name!r}, episodes={len(self)}, states={self.states.shape}, "
            f"actions={self.actions.shape}, contexts={self.contexts.shape})"
        )

    @property
    def lengths(self) -> np.ndarray:
        """Physics steps of each episode, of shape `(episodes,)`."""
        return np.diff(self.offsets) - 1

    def episode(self, index: int) -> Episode:
        """One episode, without a copy; `index` counts from 0."""
        start, stop = self.offsets[index], self.offsets[index + 1]
        return Episode(index, self.states[start:stop], self.actions[start : stop - 1], self.contexts[index])

    def windows(self, length: int) -> np.ndarray:
        """Every row from which `length` physics steps stay within the episode.

        States `row` to `row + length` and actions `row` to `row + length - 1` are then of one episode.

        Returns:
          Rows in order, int64; empty where no episode is that long.
        """
        return window_starts(self.offsets, length)

    def steps_before(self, rows: np.ndarray) -> np.ndarray:
        """Physics steps of the episode before each of these rows."""
        return rows - self.offsets[np.searchsorted(self.offsets, rows, side="right") - 1]

    def stacked(self) -> tuple[np.ndarray, np.ndarray]:
        """States `(episodes, T + 1, nq + nv)` and actions `(episodes, T, nu)`, without a copy.

        Raises:
          MosimError: episodes differ in length.
        """
        if np.ptp(self.lengths):
            raise MosimError(
                f"episodes of {self.lengths.min()} to {self.lengths.max()} steps cannot be stacked; all must have the "
                "same length."
            )
        shape = (len(self), self.lengths[0] + 1, -1)
        return self.states.reshape(shape), self.actions.reshape(*shape[:2], self.facts.nu)[:, :-1]

    def select(self, episodes: np.ndarray | list[int]) -> "Trajectories":
        """A copy that holds these episodes alone, in this order; for a held-out part."""
        return Trajectories.of(self.facts, [self.episode(int(episode)) for episode in episodes])


def window_starts(offsets: np.ndarray, length: int) -> np.ndarray:
    """`Trajectories.windows` of episodes that lie at `offsets`."""
    room = np.maximum(np.diff(offsets) - length, 0)
    firsts = np.repeat(offsets[:-1] - (np.cumsum(room) - room), room)
    return firsts + np.arange(room.sum(), dtype=np.int64)


class Dataset:
    """Trajectories on disk.

    Attributes:
      metadata: the dataset's origin and files.
      uri: where it lies.
    """

    def __init__(self, folder: Folder, metadata: Metadata) -> None:
        self._folder = folder
        self.metadata = metadata

    @classmethod
    def open(cls, location: str | Path) -> "Dataset":
        """Opens a dataset by its local path or its URI; reads its metadata alone.

        Raises:
          MosimError: there is no dataset.
          DamagedFileError: its metadata are not what mosim wrote.
        """
        folder = Folder.at(location)
        return cls(folder, read_metadata(folder))

    def __repr__(self) -> str:
        state = "" if self.metadata.complete else f", finished={self.metadata.finished_episodes}"
        return (
            f"Dataset({self.uri!r}, system={self.facts.name!r}, episodes={self.metadata.episodes}{state}, id={self.id})"
        )

    @property
    def uri(self) -> str:
        """Where it lies."""
        return self._folder.uri

    @property
    def id(self) -> str:
        """A short digest of what it holds, the same wherever it lies."""
        return self.metadata.id

    @property
    def facts(self) -> SystemFacts:
        """The system."""
        return self.metadata.facts

    @property
    def physics_steps(self) -> int:
        """Physics steps in the shards that are finished."""
        return sum(shard.rows - shard.episodes for shard in self.metadata.shards)

    @property
    def bytes_on_disk(self) -> int:
        """What its files take, in bytes."""
        return sum(self._folder.size(name) for name in (METADATA_NAME, *(shard.name for shard in self.metadata.shards)))

    def parts(self) -> Iterator[Trajectories]:
        """Reads the shards that are finished one after the other, a few episodes each, and forgets each for the next.

        Raises:
          DamagedFileError: a shard is missing or damaged; names the file.
        """
        for shard in self.metadata.shards:
            arrays = self._read(shard)
            offsets = np.concatenate([[0], np.cumsum(arrays.lengths + 1)])
            actions = np.zeros((shard.rows, self.facts.nu))
            acting = np.ones(shard.rows, bool)
            acting[offsets[1:] - 1] = False
            actions[acting] = arrays.actions
            yield Trajectories(self.facts, arrays.states, actions, offsets, arrays.contexts)

    def load(self) -> Trajectories:
        """Reads all of it, in little more memory than the arrays take.

        Raises:
          MosimError: it is not complete; names the command that completes it.
          DamagedFileError: a shard is missing or damaged; names the file.
        """
        if not self.metadata.complete:
            raise MosimError(
                f"the dataset at {self.uri} is incomplete: it has {self.metadata.finished_episodes} of "
                f"{self.metadata.episodes} episodes; continue with: {self.metadata.command(self.uri)}"
            )
        rows = sum(shard.rows for shard in self.metadata.shards)
        states = np.empty((rows, self.facts.state_size))
        actions = np.zeros((rows, self.facts.nu))
        offsets = np.zeros(self.metadata.episodes + 1, np.int64)
        contexts, row, episode = [], 0, 0
        for shard in self.metadata.shards:
            arrays = self._read(shard)
            stop = row + shard.rows
            states[row:stop] = arrays.states
            ends = row + np.cumsum(arrays.lengths + 1)
            acting = np.ones(shard.rows, bool)
            acting[ends - 1 - row] = False
            actions[row:stop][acting] = arrays.actions
            offsets[episode + 1 : episode + 1 + shard.episodes] = ends
            contexts.append(arrays.contexts)
            row, episode = stop, episode + shard.episodes
        return Trajectories(self.facts, states, actions, offsets, np.concatenate(contexts))

    def damaged_shards(self) -> list[Shard]:
        """Shards that are missing or whose bytes are not those that were written."""
        return [shard for shard in self.metadata.shards if not self._is_whole(shard)]

    def _is_whole(self, shard: Shard) -> bool:
        return self._folder.holds(shard.name) and checksum(self._folder.read(shard.name)) == shard.sha256

    def _read(self, shard: Shard) -> ShardArrays:
        where = self._folder.where(shard.name)
        content = self._folder.read(shard.name)
        if checksum(content) != shard.sha256:
            raise DamagedFileError(f"{where} is damaged: its checksum differs from the one in metadata.json.")
        arrays = decode_shard(content, self.facts, where)
        if (len(arrays.states), len(arrays.lengths)) != (shard.rows, shard.episodes):
            raise DamagedFileError(
                f"{where} is damaged: it does not have {shard.episodes} episodes with {shard.rows} rows in total."
            )
        return arrays
