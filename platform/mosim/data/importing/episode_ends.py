"""Arrays of a file that say where episodes end, under the names that D4RL, Minari, robomimic, LeRobot and RLDS use."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mosim.core.errors import MosimError

FLAGS = (
    "terminals", "timeouts", "terminations", "truncations", "terminated", "truncated", "dones", "done", "next.done",
    "is_last", "is_terminal",
)  # fmt: skip
"""True in the last row of an episode."""

FIRST = "is_first"
"""True in the first row of an episode."""

NUMBERS = ("episode_index", "episode_id", "episode_ids")
"""The same number in every row of an episode."""

LENGTHS = ("lengths", "episode_lengths", "traj_lengths", "seq_lengths")
"""How many rows each episode has: of padded ones, or of those that stand one after the other."""

ENDS = "episode_ends"
"""Of episodes one after the other, the number of the row after each one's last."""

MASK = "mask"
"""False in the rows that pad an episode."""

KNOWN = (*FLAGS, FIRST, *NUMBERS, *LENGTHS, ENDS, MASK)

_STRUCTURAL = re.compile(r"mask|done|termin|trunc|timeout|ends?$|len(gth)?s?$|episode|is_")
"""Names that say something of episodes."""


class Piece(NamedTuple):
    """Rows `begin` to `stop - 1` of a given episode; `followed` where the state after the last one is its own too."""

    episode: int
    begin: int
    stop: int
    followed: bool


def unused_arrays(names: Iterable[str], used: Iterable[str]) -> list[str]:
    """The names of a file's arrays that are not used.

    Raises:
      MosimError: one of them looks as if it said where episodes end; lists those that are understood.
    """
    unused = sorted(set(names) - set(used) - set(KNOWN))
    if odd := [name for name in unused if _STRUCTURAL.search(name.lower())]:
        raise MosimError(
            f"array {odd[0]!r} seems to mark the ends of episodes, but is not supported; remove it, or give the ends "
            f"as one of {', '.join(KNOWN)}."
        )
    return unused


def find_pieces(arrays: Mapping[str, np.ndarray], episodes: int, rows: int) -> list[Piece]:
    """Splits given episodes into unbroken pieces.

    Args:
      arrays: those of `KNOWN` that the file has.
      episodes: how many episodes the file gives along a first axis; 1 where it has no such axis.
      rows: of each of them.

    Raises:
      MosimError: an array does not fit; names it, its shape and what is expected.
    """
    pieces = [Piece(episode, 0, rows, True) for episode in range(episodes)]
    for name in (*LENGTHS, ENDS, MASK):
        if name in arrays:
            pieces = _cut(name, arrays[name], episodes, rows)
    flags = np.zeros((episodes, rows), bool)
    for name in (*FLAGS, FIRST, *NUMBERS):
        if name in arrays:
            flags |= _flags(name, arrays[name], episodes, rows)
    return [part for piece in pieces for part in _split(piece, flags[piece.episode])]


def _cut(name: str, array: np.ndarray, episodes: int, rows: int) -> list[Piece]:
    if name == MASK:
        kept = _by_row(name, array, episodes, rows).astype(bool)
        lengths = kept.sum(axis=1)
        if np.any(kept != (np.arange(rows) < lengths[:, None])):
            raise MosimError(
                f"array {name!r} is false between rows where it is true; only rows at the end of an episode may be "
                "padding."
            )
        return [Piece(episode, 0, length, True) for episode, length in enumerate(lengths.tolist())]
    numbers = np.ravel(array)
    whole = numbers.astype(int)
    lengths = np.diff(whole, prepend=0) if name == ENDS else whole
    if not np.array_equal(whole, numbers) or np.any(lengths < 0) or not lengths.size:
        raise MosimError(
            f"array {name!r} must contain whole numbers of 0 or more{', in rising order' if name == ENDS else ''}."
        )
    if name != ENDS and len(lengths) == episodes and lengths.max() <= rows:
        return [Piece(episode, 0, length, True) for episode, length in enumerate(lengths.tolist())]
    if episodes == 1 and lengths.sum() in (rows, rows + 1):
        bounds = [0, *np.minimum(np.cumsum(lengths), rows).tolist()]
        return [Piece(0, begin, stop, stop == rows) for begin, stop in itertools.pairwise(bounds)]
    raise MosimError(
        f"array {name!r} describes {lengths.size} episodes of up to {lengths.max()} rows, {lengths.sum()} rows in "
        f"total; the file has {episodes} episodes of {rows} rows."
    )


def _flags(name: str, array: np.ndarray, episodes: int, rows: int) -> np.ndarray:
    """Which rows are the last of an episode, `(episodes, rows)`."""
    by_row = _by_row(name, array, episodes, rows)
    if name in FLAGS:
        return by_row.astype(bool)
    begins = by_row[:, 1:].astype(bool) if name == FIRST else np.diff(by_row, axis=1) != 0
    return np.concatenate([begins, np.zeros((episodes, 1), bool)], axis=1)


def _by_row(name: str, array: np.ndarray, episodes: int, rows: int) -> np.ndarray:
    """An array with a value a row, or one more where states are one more than actions, as `(episodes, rows)`."""
    for count in (rows, rows + 1):
        if array.size == episodes * count and array.shape[0] in (episodes, count):
            values = array.reshape(episodes, count)[:, :rows]
            if array.dtype.kind == "f" and not np.all(np.isfinite(values)):
                raise MosimError(f"array {name!r} contains values that are not finite.")
            return values
    raise MosimError(
        f"array {name!r} has shape {array.shape}; it must have one value for each of {episodes} x {rows} rows."
    )


def _split(piece: Piece, flags: np.ndarray) -> Iterator[Piece]:
    inner = np.flatnonzero(flags[piece.begin : piece.stop]) + piece.begin + 1
    bounds = [piece.begin, *[bound for bound in inner.tolist() if bound < piece.stop], piece.stop]
    for begin, stop in itertools.pairwise(bounds):
        yield Piece(piece.episode, begin, stop, piece.followed and stop == piece.stop)
