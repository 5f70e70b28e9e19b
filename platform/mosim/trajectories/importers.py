"""Trajectories from `.npz` files, such as the paper's authors publish."""

import hashlib
import itertools
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mosim.errors import MosimError
from mosim.storage import Folder
from mosim.systems import SystemFacts, load_system
from mosim.trajectories.behaviours import ImportedBehaviour
from mosim.trajectories.dataset import Dataset
from mosim.trajectories.episodes import Episode
from mosim.trajectories.metadata import Metadata, Shard, begin, describe, write_metadata
from mosim.trajectories.storage import checksum, encode_shard

_ROWS_PER_SHARD = 20_000
"""Shards of imports close after the episode that reaches this; episodes may be a single step here."""

_SAME_STATE = 1e-6
"""Relative and absolute difference within which a row's next state is the state of the row after it."""


def import_npz(file: str | Path, source: str, out: str | Path) -> Dataset:
    """Imports a file's trajectories into a dataset. Nothing in the file is unpickled.

    The file holds either `data`, rows `[q, v, u, q', v']` of shape `(episodes, steps, 2 (nq + nv) + nu)` or
    `(steps, ...)`; or `states`, `(episodes, T + 1, nq + nv)` or as many as actions, and `actions`, `(episodes, T, nu)`,
    both perhaps without the first axis. A row of `data` that does not follow from the one before begins an episode.

    Args:
      file: the `.npz` file.
      source: the system they are of: a task as `domain-task`, or the path of an MJCF file.
      out: the dataset's folder, a local path or a URI.

    Raises:
      MosimError: the file holds something else; names the array, its shape and what is expected.
      MismatchError: another dataset lies in the folder.
    """
    file = Path(file)
    if not file.is_file():
        raise MosimError(f"there is no file at {file}.")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    system = load_system(source)
    episodes = _read_episodes(file, system.facts)
    lengths = {len(episode.actions) for episode in episodes}
    behaviour = ImportedBehaviour(file=file.name, sha256=digest)
    steps = lengths.pop() if len(lengths) == 1 else None
    folder = Folder.at(out)
    metadata = begin(folder, describe(system, behaviour, None, len(episodes), steps))
    finished = set(metadata.shards) - set(Dataset(folder, metadata).damaged_shards())
    metadata = metadata.model_copy(update={"shards": tuple(sorted(finished, key=lambda shard: shard.first))})
    return Dataset(folder, _write_missing(folder, metadata, episodes))


def _write_missing(folder: Folder, metadata: Metadata, episodes: list[Episode]) -> Metadata:
    finished = {shard.first for shard in metadata.shards}
    for number, block in enumerate(_blocks(episodes)):
        if block[0].index in finished:
            continue
        content = encode_shard(block, metadata.facts)
        name = f"shards/{number:06d}.parquet"
        folder.write(name, content)
        rows = sum(len(episode.states) for episode in block)
        shard = Shard(name=name, first=block[0].index, episodes=len(block), rows=rows, sha256=checksum(content))
        metadata = metadata.with_shards([shard])
        write_metadata(folder, metadata)
    return metadata


def _blocks(episodes: Iterable[Episode]) -> Iterator[list[Episode]]:
    block, rows = [], 0
    for episode in episodes:
        block.append(episode)
        rows += len(episode.states)
        if rows >= _ROWS_PER_SHARD:
            yield block
            block, rows = [], 0
    if block:
        yield block


def _read_episodes(file: Path, facts: SystemFacts) -> list[Episode]:
    try:
        archive = np.load(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise MosimError(f"{file} is not an .npz file of plain arrays ({error}).") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise MosimError(f"{file} is a single array, not an .npz file; it needs an array data, or states and actions.")
    with archive:
        size = facts.state_size
        if "data" in archive:
            rows = _array(archive, "data", 2 * size + facts.nu, "[q, v, u, q', v']", file, facts)
            pieces = [piece for episode in rows for piece in _split_rows(episode, size, facts.nu)]
        elif "states" in archive and "actions" in archive:
            states = _array(archive, "states", size, "[q, v]", file, facts)
            actions = _array(archive, "actions", facts.nu, "u", file, facts)
            pieces = _pair(states, actions, file)
        else:
            raise MosimError(
                f"{file} holds the arrays {', '.join(sorted(archive.files)) or 'none'}; "
                "it needs data, or states and actions."
            )
    return [Episode(index, states, actions, np.empty(0)) for index, (states, actions) in enumerate(pieces)]


def _array(
    archive: np.lib.npyio.NpzFile, name: str, width: int, columns: str, file: Path, facts: SystemFacts
) -> np.ndarray:
    """An array of the file as float64, of shape `(episodes, steps, width)`."""
    try:
        array = archive[name]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MosimError(f"{file}: array {name!r} cannot be read as plain numbers ({error}).") from None
    if array.dtype.kind not in "fiu":
        raise MosimError(f"{file}: array {name!r} is of type {array.dtype}; numbers are expected.")
    if array.ndim not in (2, 3) or array.shape[-1] != width or not array.size:
        raise MosimError(
            f"{file}: array {name!r} has shape {array.shape}; for system {facts.name!r} rows {columns} "
            f"of width {width} are expected, of shape (episodes, steps, {width}) or (steps, {width})."
        )
    array = np.asarray(array, np.float64)
    if not np.all(np.isfinite(array)):
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise MosimError(f"{file}: array {name!r} is not finite at {place}; finite numbers are expected.")
    return array if array.ndim == 3 else array[None]


def _split_rows(rows: np.ndarray, size: int, nu: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    before, actions, after = np.split(rows, [size, size + nu], axis=-1)
    follows = np.isclose(before[1:], after[:-1], rtol=_SAME_STATE, atol=_SAME_STATE).all(axis=-1)
    bounds = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(rows)]
    for start, stop in itertools.pairwise(bounds):
        yield np.concatenate([before[start:stop], after[stop - 1 : stop]]), actions[start:stop]


def _pair(states: np.ndarray, actions: np.ndarray, file: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    extra = states.shape[1] - actions.shape[1]
    if len(states) != len(actions) or extra not in (0, 1) or states.shape[1] < 2:
        raise MosimError(
            f"{file}: arrays 'states' and 'actions' have shapes {states.shape} and {actions.shape}; as many "
            "episodes are expected in both, and as many states as actions or one more, 2 or more."
        )
    # Where there are as many states as actions, the outcome of the last action is not known.
    return ((each, chosen[: len(each) - 1]) for each, chosen in zip(states, actions, strict=True))
