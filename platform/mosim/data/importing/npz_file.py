"""Episodes read from an `.npz` file of plain arrays."""

import itertools
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mosim.core.errors import MosimError
from mosim.data.episodes import Episode
from mosim.data.importing.episode_ends import KNOWN, Piece, find_pieces, unused_arrays
from mosim.data.importing.orientations import turn_signs
from mosim.robots import SystemFacts

_SAME_STATE = 1e-6
"""Relative and absolute difference within which a row's next state is the state of the row after it."""

_UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


class NpzEpisodes(NamedTuple):
    """What a file holds: its episodes, how many signs of quaternions were turned, and arrays that are not used."""

    episodes: list[Episode]
    turned: int
    unused: list[str]


def read_npz(file: Path, facts: SystemFacts) -> NpzEpisodes:
    """Reads a file's episodes, as `import_npz` describes them. Nothing in it is unpickled.

    A quaternion and its opposite are the same orientation. Within an episode each is given the sign that is nearer to
    the one before, as MuJoCo's own are.

    Raises:
      MosimError: the file holds something else; names the array, its shape and what is expected.
    """
    try:
        archive = np.load(file)
    except _UNREADABLE as error:
        raise MosimError(f"{file} is not an .npz file of plain arrays ({error}).") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise MosimError(
            f"{file} is a single array, not an .npz file; it must have an array data, or arrays states and actions."
        )
    with archive:
        arrays = _Arrays(archive, file, facts)
        try:
            pieces, used = arrays.pieces()
            unused = unused_arrays(archive.files, used)
        except MosimError as error:
            raise error if str(file) in str(error) else MosimError(f"{file}: {error}") from None
    episodes, turned = [], 0
    for states, actions in pieces:
        if len(actions):
            turned += turn_signs(states, facts)
            episodes.append(Episode(len(episodes), states, actions, np.empty(0)))
    if not episodes:
        raise MosimError(f"{file} has no steps: every episode has fewer than two states.")
    return NpzEpisodes(episodes, turned, unused)


class _Arrays:
    def __init__(self, archive: np.lib.npyio.NpzFile, file: Path, facts: SystemFacts) -> None:
        self._archive, self._file, self._facts = archive, file, facts

    def pieces(self) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[str]]:
        """States and actions of each unbroken piece, and the names of the arrays that they come from."""
        size, nu, na = self._facts.state_size, self._facts.nu, self._facts.layout.na
        if "data" in self._archive:
            rows = self._steps("data", 2 * size + nu, "[q, v, act, u, q', v', act']" if na else "[q, v, u, q', v']")
            return [
                part
                for piece in self._found(rows)
                for part in _split_rows(self._finite("data", rows, piece, piece.stop), size, nu)
            ], ["data"]
        if "states" not in self._archive or ("actions" not in self._archive and nu):
            raise MosimError(
                f"{self._file} has the arrays {', '.join(sorted(self._archive.files)) or 'none'}; it must have data, "
                f"or states{' and actions' if nu else ''}."
            )
        states = self._steps("states", size, "[q, v, act]" if na else "[q, v]")
        if "actions" in self._archive:
            actions = self._steps("actions", nu, "u")
        else:
            actions = np.empty((len(states), states.shape[1] - 1, 0))
        extra = states.shape[1] - actions.shape[1]
        if len(states) != len(actions) or extra not in (0, 1) or states.shape[1] < 2:
            raise MosimError(
                f"{self._file}: arrays 'states' and 'actions' have shapes {states.shape} and {actions.shape}; both "
                "must have the same number of episodes, and an episode must have at least 2 states, as many as "
                "actions or one more."
            )
        found = []
        for piece in self._found(actions):
            # Where there are as many states as actions, the outcome of the last action is not known.
            last = piece.stop + 1 if piece.followed and extra else piece.stop
            own = self._finite("states", states, piece, last)
            found.append((own, self._finite("actions", actions, piece, max(last - 1, piece.begin))))
        return found, ["states", "actions"]

    def _found(self, rows: np.ndarray) -> list[Piece]:
        ends = {name: self._read(name) for name in KNOWN if name in self._archive}
        return find_pieces(ends, len(rows), rows.shape[1])

    def _finite(self, name: str, array: np.ndarray, piece: Piece, stop: int) -> np.ndarray:
        part = array[piece.episode, piece.begin : stop].copy()
        if not np.all(np.isfinite(part)):
            step, column = np.argwhere(~np.isfinite(part))[0].tolist()
            place = (piece.episode, piece.begin + step, column)
            raise MosimError(
                f"{self._file}: array {name!r} is not finite at {place}; all numbers must be finite. If episodes are "
                "padded, add an array lengths with the number of rows of each episode."
            )
        return part

    def _steps(self, name: str, width: int, columns: str) -> np.ndarray:
        """An array of the file as float64, of shape `(episodes, steps, width)`."""
        array = self._read(name)
        if array.ndim not in (2, 3) or array.shape[-1] != width or not (array.size or (not width and len(array))):
            raise MosimError(
                f"{self._file}: array {name!r} has shape {array.shape}; rows of system {self._facts.name!r} are "
                f"{columns} of width {width}, so the shape must be (episodes, steps, {width}) or (steps, {width})."
            )
        array = np.asarray(array, np.float64)
        return array if array.ndim == 3 else array[None]

    def _read(self, name: str) -> np.ndarray:
        try:
            array = self._archive[name]
        except _UNREADABLE as error:
            raise MosimError(f"{self._file}: array {name!r} cannot be read as plain numbers ({error}).") from None
        if array.dtype.kind not in "fiub":
            raise MosimError(f"{self._file}: array {name!r} is of type {array.dtype}; it must contain numbers.")
        return array


def _split_rows(rows: np.ndarray, size: int, nu: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if not len(rows):
        return
    before, actions, after = np.split(rows, [size, size + nu], axis=-1)
    follows = np.isclose(before[1:], after[:-1], rtol=_SAME_STATE, atol=_SAME_STATE).all(axis=-1)
    bounds = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(rows)]
    for start, stop in itertools.pairwise(bounds):
        yield np.concatenate([before[start:stop], after[stop - 1 : stop]]), actions[start:stop]
