"""The columns of a log: of a CSV file, a Parquet file or a folder of them, or an `.npz` file."""

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet

from mosim.core.errors import MosimError, UnknownNameError

_PLACE = re.compile(r"(.+)\[([0-9]+)\]\Z")

_UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, pa.ArrowException)

SUFFIXES = (".csv", ".parquet", ".npz")


class LogTable:
    """Columns of the same length, read when they are asked for.

    Attributes:
      rows: how many.
      names: of the columns; an array or a list of several numbers a row is one of them.
    """

    def __init__(self, path: Path) -> None:
        """Opens a log.

        Args:
          path: a file with one of `SUFFIXES`, or a folder with Parquet files, which are taken in the order of their
            names, such as a LeRobot dataset.

        Raises:
          MosimError: there is none, or it cannot be read as a table of numbers.
        """
        self._path = path
        try:
            self._columns = _read(path)
        except _UNREADABLE as error:
            raise MosimError(f"{path} cannot be read as a log: {' '.join(str(error).split())[:200]}.") from None
        lengths = {len(column) for column in self._columns.values()}
        if len(lengths) != 1:
            raise MosimError(f"{path}: columns must have the same number of rows, at least one; they have {lengths}.")
        (self.rows,) = lengths
        self.names = tuple(self._columns)

    def column(self, name: str) -> np.ndarray:
        """The numbers of a column, `(rows,)`, float64; `name[i]` is one of several a row.

        Raises:
          MosimError: there is no such column, or it has something else than one finite number in each row.
        """
        place = None
        if name not in self._columns and (found := _PLACE.match(name)):
            name, place = found[1], int(found[2])
        if name not in self._columns:
            raise MosimError(f"{self._path}: {UnknownNameError.among('column', name, self.names)}")
        values = _numbers(self._columns[name])
        if values is None:
            raise MosimError(f"{self._path}: column {name!r} must contain numbers.")
        width = 1 if values.ndim == 1 else values.shape[1]
        if values.ndim == 2:
            if place is None or place >= width:
                raise MosimError(
                    f"{self._path}: column {name!r} has {width} numbers in each row; name one of them, from {name}[0] "
                    f"to {name}[{width - 1}]."
                )
            values = values[:, place]
        elif place is not None:
            raise MosimError(
                f"{self._path}: column {name!r} has one number in each row, so {name}[{place}] is not one."
            )
        if not np.all(np.isfinite(values)):
            row = int(np.argmin(np.isfinite(values)))
            raise MosimError(f"{self._path}: column {name!r} is not finite in row {row}; remove such rows.")
        return values


def _read(path: Path) -> dict[str, np.ndarray | pa.ChunkedArray]:
    if path.is_dir():
        files = sorted((path / "data").rglob("*.parquet")) or sorted(path.rglob("*.parquet"))
        if not files:
            raise MosimError(f"{path} has no Parquet files.")
        return _columns_of(pa.concat_tables([parquet.read_table(file) for file in files], promote_options="default"))
    if not path.is_file():
        raise MosimError(f"there is no file at {path}.")
    if path.suffix == ".csv":
        return _columns_of(csv.read_csv(path))
    if path.suffix == ".parquet":
        return _columns_of(parquet.read_table(path))
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}
    raise MosimError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}, or the path that of a folder.")


def _columns_of(table: pa.Table) -> dict[str, np.ndarray | pa.ChunkedArray]:
    return {name: table.column(name) for name in table.column_names}


def _numbers(column: Any) -> np.ndarray | None:
    """A column as float64 of one or two dimensions; None where it has no numbers."""
    if isinstance(column, pa.ChunkedArray):
        kind = column.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            lengths = set(np.asarray(compute.call_function("list_value_length", [column])).tolist())
            if len(lengths) != 1 or None in lengths:
                return None
            flat = _numbers(compute.call_function("list_flatten", [column]))
            return None if flat is None or flat.ndim != 1 else flat.reshape(len(column), -1)
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.int64())
        column = column.to_numpy()
    if column.dtype.kind not in "fiub" or column.ndim not in (1, 2):
        return None
    return np.asarray(column, np.float64)
