"""The files of a dataset: Parquet, checked when read."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mosim.core.errors import DamagedFileError
from mosim.data.episodes import Episode
from mosim.robots import SystemFacts

_CONTEXTS_KEY = b"mosim.contexts"


def encode_shard(episodes: Sequence[Episode], facts: SystemFacts) -> pa.Buffer:
    """Encodes consecutive episodes as a Parquet file: a row a physics step.

    The action is null in an episode's last row.
    """
    lengths = [len(episode.actions) for episode in episodes]
    ends = np.cumsum([length + 1 for length in lengths]) - 1
    last = np.zeros(ends[-1] + 1, bool)
    last[ends] = True
    widths = np.where(last, 0, facts.nu)
    states = np.concatenate([episode.states for episode in episodes])
    actions = np.concatenate([episode.actions for episode in episodes])
    table = pa.table(
        {
            "episode": np.repeat(np.array([episode.index for episode in episodes], np.int32), np.add(lengths, 1)),
            "step": np.concatenate([np.arange(length + 1, dtype=np.int32) for length in lengths]),
            "state": pa.FixedSizeListArray.from_arrays(pa.array(states.ravel()), facts.state_size),
            # Not a fixed size list: Arrow does not read those back where some are null.
            "action": pa.ListArray.from_arrays(
                np.concatenate([[0], np.cumsum(widths)]).astype(np.int32),
                pa.array(actions.ravel()),
                mask=pa.array(last),
            ),
        }
    )
    if episodes[0].context.size:
        contexts = json.dumps([episode.context.tolist() for episode in episodes])
        table = table.replace_schema_metadata({_CONTEXTS_KEY: contexts.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


@dataclass(frozen=True)
class ShardArrays:
    """What a shard holds, its episodes one after the other.

    Attributes:
      lengths: `(episodes,)`, physics steps of each.
      states: `(sum(lengths + 1), nq + nv)`.
      actions: `(sum(lengths), nu)`.
      contexts: `(episodes, context_size)`.
    """

    lengths: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    contexts: np.ndarray


def decode_shard(content: bytes, facts: SystemFacts, where: str) -> ShardArrays:
    """Decodes what `encode_shard` made; `where` names the file in errors.

    Raises:
      DamagedFileError: it is not such a file.
    """
    try:
        # Not read_table, flatten and to_numpy: they import pyarrow.dataset and pandas, and datasets are often smaller.
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        states = np.from_dlpack(table["state"].combine_chunks().values).reshape(-1, facts.state_size)
        actions = np.from_dlpack(table["action"].combine_chunks().values).reshape(-1, max(facts.nu, 1))
        starts = np.flatnonzero(np.from_dlpack(table["step"].combine_chunks()) == 0)
        lengths = np.diff(np.append(starts, len(states))) - 1
        metadata = table.schema.metadata or {}
        contexts = np.array(json.loads(metadata.get(_CONTEXTS_KEY, b"[]")), np.float64).reshape(len(starts), -1)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DamagedFileError(f"{where} is damaged: it is not a shard of trajectories ({error}).") from None
    if len(actions) != (lengths.sum() if facts.nu else 0):
        raise DamagedFileError(f"{where} is damaged: it has {len(actions)} actions for {lengths.sum()} physics steps.")
    return ShardArrays(lengths, states, actions.reshape(lengths.sum(), facts.nu), contexts)


def checksum(content: bytes | pa.Buffer) -> str:
    """The hexadecimal SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()
