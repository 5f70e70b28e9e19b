"""The record of a training's divergences: how often the simulator diverged, and in which dimension of the state.

OUT/divergences.json   how many episodes there were, and how many diverged, by the dimension that left its limits first
OUT/divergences.csv    the first of each update, a row each, with the last state before
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from mosim.core.errors import DamagedFileError
from mosim.core.files import read_json, write_json, write_text
from mosim.core.frozen import Frozen
from mosim.envs import Divergence

DIVERGENCES_FILE, COUNTS_FILE = "divergences.csv", "divergences.json"

ROWS_AN_UPDATE = 20
"""Divergences of an update that get a row in `divergences.csv`; all are counted."""

_COLUMNS = ("steps", "dimension", "value", "control_step")
"""`steps` is the control steps trained for at that time; the others are of `Divergence`."""


class DivergenceCounts(Frozen):
    """How often episodes diverged.

    Attributes:
      episodes: that have ended, for whatever reason.
      first_in: how many of them diverged, by what left its limits first, the most first.
    """

    episodes: int = 0
    first_in: dict[str, int] = Field(default={})

    @property
    def total(self) -> int:
        """How many diverged."""
        return sum(self.first_in.values())

    def __str__(self) -> str:
        where = ", ".join(f"{name} ({count:,})" for name, count in self.first_in.items())
        return f"{self.total:,} divergences in {self.episodes:,} episodes" + (
            f", by the dimension that diverged first: {where}" * bool(where)
        )


class DivergenceLog:
    """Keeps count while a training runs.

    Attributes:
      counts: so far.
    """

    def __init__(self, out: Path, state_names: Sequence[str]) -> None:
        """Takes the folder of the training and the names of the state's dimensions."""
        self.counts = DivergenceCounts()
        self._out, self._columns = out, (*_COLUMNS, *state_names)
        self._rows: list[list[str]] = []

    def add(self, steps: int, episodes: int, divergences: Sequence[Divergence]) -> None:
        """Counts the `episodes` of an update that ended at `steps`, and the divergences among them."""
        first_in = dict(self.counts.first_in)
        for divergence in divergences:
            first_in[divergence.dimension] = first_in.get(divergence.dimension, 0) + 1
        ordered = dict(sorted(first_in.items(), key=lambda item: -item[1]))
        self.counts = DivergenceCounts(episodes=self.counts.episodes + episodes, first_in=ordered)
        for divergence in divergences[:ROWS_AN_UPDATE]:
            before = map(repr, np.asarray(divergence.before, np.float64).tolist())
            self._rows.append(
                [str(steps), divergence.dimension, repr(divergence.value), str(divergence.control_step), *before]
            )

    def write(self) -> None:
        """Writes both files, each whole or not at all."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self._columns, *self._rows])
        write_text(self._out / DIVERGENCES_FILE, text.getvalue())
        write_json(self._out / COUNTS_FILE, self.counts.model_dump(mode="json"))

    def restore(self, counts: dict[str, Any], steps: int) -> None:
        """Goes on from the `counts` of a checkpoint at `steps`; what was written after it is forgotten.

        Raises:
          DamagedFileError: `divergences.csv` is not a record of divergences.
        """
        self.counts = DivergenceCounts(**counts)
        self._rows = [row for row in self._read() if int(row[0]) <= steps]
        self.write()

    def _read(self) -> list[list[str]]:
        path = self._out / DIVERGENCES_FILE
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            columns, *rows = list(csv.reader(file)) or [[]]
        if tuple(columns) != self._columns or not all(len(row) == len(columns) and row[0].isdecimal() for row in rows):
            raise DamagedFileError(f"{path} is damaged: its columns must be {', '.join(self._columns)}.")
        return rows


def read_divergences(out: Path) -> DivergenceCounts:
    """The counts of the training in `out`; of no episodes where there are none.

    Raises:
      DamagedFileError: they are not what was written.
    """
    path = out / COUNTS_FILE
    if not path.is_file():
        return DivergenceCounts()
    try:
        return DivergenceCounts.model_validate(read_json(path))
    except ValidationError as error:
        raise DamagedFileError(f"{path} is damaged: {error.errors()[0]['msg']}.") from None
