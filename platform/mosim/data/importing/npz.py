"""Trajectories from `.npz` files, such as the paper's authors publish."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mosim.core.console import warn
from mosim.core.errors import MismatchError, MosimError
from mosim.core.locks import locked
from mosim.core.storage import Folder
from mosim.data.behaviours import ImportedBehaviour
from mosim.data.dataset import Dataset, Trajectories
from mosim.data.episodes import Episode
from mosim.data.importing.npz_file import odd_orientation, read_npz
from mosim.data.inspection.replay_check import check_trajectories
from mosim.data.metadata import Metadata, Shard, begin, describe, write_metadata
from mosim.data.storage import checksum, encode_shard
from mosim.robots import System
from mosim.tasks import load_system

_ROWS_PER_SHARD = 20_000
"""Shards of imports close after the episode that reaches this; episodes may be a single step here."""


def import_npz(file: str | Path, source: str, out: str | Path, allow_mismatch: bool = False) -> Dataset:
    """Imports a file's trajectories into a dataset. Nothing in the file is unpickled.

    The file holds either `data`, rows `[q, v, u, q', v']` of shape `(episodes, steps, 2 (nq + nv) + nu)` or
    `(steps, ...)`; or `states`, `(episodes, T + 1, nq + nv)` or as many as actions, and `actions`, `(episodes, T, nu)`,
    both perhaps without the first axis; a system without actuators needs no actions. A row of `data` that does not
    follow from the one before begins an episode. Arrays that say where episodes end are those of
    `mosim.data.importing.episode_ends`.

    Args:
      file: the `.npz` file.
      source: the system they are of: a task as `domain-task`, or the path of an MJCF file.
      out: the dataset's folder, a local path or a URI.
      allow_mismatch: whether data that cannot be motion of the system are taken nevertheless, with a warning.

    Raises:
      MosimError: the file holds something else; names the array, its shape and what is expected.
      MismatchError: the data are not motion of the system, see `mosim.data.inspection.replay_check`, or another dataset
        lies in the folder.
    """
    file = Path(file)
    if not file.is_file():
        raise MosimError(f"there is no file at {file}.")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    system = load_system(source, allow_imports=True)
    episodes, turned, unused = read_npz(file, system.facts)
    _check(file, system, episodes, allow_mismatch)
    if unused:
        warn(f"{file}: these arrays are not used: {', '.join(unused)}.")
    if turned:
        warn(
            f"{file}: the signs of {turned} quaternions are changed to match the preceding step; the orientations "
            "stay the same."
        )
    lengths = {len(episode.actions) for episode in episodes}
    behaviour = ImportedBehaviour(file=file.name, sha256=digest)
    steps = lengths.pop() if len(lengths) == 1 else None
    folder = Folder.at(out)
    with locked(out):
        metadata = begin(folder, describe(system, behaviour, None, len(episodes), steps))
        finished = set(metadata.shards) - set(Dataset(folder, metadata).damaged_shards())
        metadata = metadata.model_copy(update={"shards": tuple(sorted(finished, key=lambda shard: shard.first))})
        return Dataset(folder, _write_missing(folder, metadata, episodes))


def _check(file: Path, system: System, episodes: list[Episode], allow_mismatch: bool) -> None:
    """Refuses data that are not motion of the system, and warns of those that are roughly."""
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
