"""Keeping imported episodes as a dataset, after they are checked against the system."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mosim.core.console import warn
from mosim.core.errors import MismatchError
from mosim.core.files import sha256
from mosim.core.locks import locked
from mosim.core.storage import Folder
from mosim.data.behaviours import ImportedBehaviour
from mosim.data.dataset import Dataset, Trajectories
from mosim.data.episodes import Episode
from mosim.data.importing.orientations import looks_like_xyzw, odd_orientation
from mosim.data.inspection.replay_check import check_trajectories
from mosim.data.metadata import Metadata, Shard, begin, describe, write_metadata
from mosim.data.storage import checksum, encode_shard
from mosim.robots import System

_ROWS_PER_SHARD = 20_000
"""Shards of imports close after the episode that reaches this; episodes may be a single step here."""


def keep_episodes(
    path: Path,
    system: System,
    episodes: list[Episode],
    out: str | Path,
    allow_mismatch: bool,
    log_map: Path | None = None,
) -> Dataset:
    """Checks episodes against the system, and writes them as a dataset; goes on with one that was not finished.

    Args:
      path: the file or folder that they come from.
      system: the system they are of.
      episodes: in order.
      out: the dataset's folder, a local path or a URI.
      allow_mismatch: whether episodes that cannot be motion of the system are taken nevertheless, with a warning.
      log_map: the map by which they were read, if any; under another one they are another dataset.

    Raises:
      MismatchError: the episodes are not motion of the system, see `mosim.data.inspection.replay_check`, or another
        dataset lies in the folder.
    """
    _check(path, system, episodes, allow_mismatch)
    lengths = {len(episode.actions) for episode in episodes}
    behaviour = ImportedBehaviour(
        file=path.name,
        sha256=digest_of(path),
        log_map=log_map and log_map.name,
        log_map_sha256=log_map and sha256(log_map),
    )
    steps = lengths.pop() if len(lengths) == 1 else None
    folder = Folder.at(out)
    with locked(out):
        metadata = begin(folder, describe(system, behaviour, None, len(episodes), steps))
        finished = set(metadata.shards) - set(Dataset(folder, metadata).damaged_shards())
        metadata = metadata.model_copy(update={"shards": tuple(sorted(finished, key=lambda shard: shard.first))})
        return Dataset(folder, _write_missing(folder, metadata, episodes))


def digest_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file, or of all files of a folder, in the order of their names."""
    if path.is_file():
        return sha256(path)
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(sha256(file).encode())
    return whole.hexdigest()


def _check(file: Path, system: System, episodes: list[Episode], allow_mismatch: bool) -> None:
    """Refuses data that are not motion of the system, and warns of those that are roughly."""
    if place := looks_like_xyzw(episodes, system.facts):
        warn(f"{file}: the quaternion at {place} looks like (x, y, z, w); mosim reads it as (w, x, y, z).")
    if sentence := odd_orientation(episodes, system.facts):
        contradicts = True
    else:
        found = check_trajectories(system, Trajectories.of(system.facts, episodes))
        sentence = found and found.sentence(system.facts.name)
        contradicts = found is not None and found.verdict == "contradicts"
    if contradicts and not allow_mismatch:
        raise MismatchError(f"{file}: {sentence} Add --allow-mismatch to import the data anyway.")
    if sentence:
        warn(f"{file}: {sentence}")


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
