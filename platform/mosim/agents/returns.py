"""The record of a training's evaluations, `returns.csv`."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from mosim.core.errors import DamagedFileError
from mosim.core.files import write_text

RETURNS_FILE = "returns.csv"

PARTED_SHARE, PARTED_ERRORS = 0.2, 2.0
"""Simulated and true return have parted where they differ by this share, and by this many standard errors."""


class ReturnRow(NamedTuple):
    """One evaluation; the fields are the columns of `returns.csv`.

    Attributes:
      steps: control steps trained for so far.
      wall_seconds: seconds trained for so far, evaluations included, interruptions not.
      return_simulated: mean return of the same episodes in the dynamics that it is trained in.
      return_true_mean, return_true_std: return in the true task.
      episodes: episodes evaluated.
    """

    steps: int
    wall_seconds: float
    return_simulated: float
    return_true_mean: float
    return_true_std: float
    episodes: int

    @property
    def parted(self) -> bool:
        """Whether the two returns differ by more than a share of the larger, and than chance."""
        gap = abs(self.return_simulated - self.return_true_mean)
        larger = max(abs(self.return_simulated), abs(self.return_true_mean))
        return gap > max(PARTED_SHARE * larger, PARTED_ERRORS * self.return_true_std / max(self.episodes, 1) ** 0.5)


def write_returns(path: Path, rows: list[ReturnRow]) -> None:
    """Writes all rows, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ReturnRow._fields)
    writer.writerows((row.steps, *(repr(value) for value in row[1:5]), row.episodes) for row in rows)
    write_text(path, text.getvalue())


def read_returns(path: Path) -> list[ReturnRow]:
    """Reads `returns.csv`; no rows where there is no file.

    Raises:
      DamagedFileError: the file is not a record of returns.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != ReturnRow._fields:
            raise DamagedFileError(f"{path} is damaged: its columns must be {', '.join(ReturnRow._fields)}.")
        try:
            return [
                ReturnRow(
                    steps=int(row["steps"]),
                    wall_seconds=float(row["wall_seconds"]),
                    return_simulated=float(row["return_simulated"]),
                    return_true_mean=float(row["return_true_mean"]),
                    return_true_std=float(row["return_true_std"]),
                    episodes=int(row["episodes"]),
                )
                for row in reader
            ]
        except (TypeError, ValueError):
            raise DamagedFileError(f"{path} is damaged: line {reader.line_num} is not a row of numbers.") from None
