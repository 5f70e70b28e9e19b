"""Sums that grow with every shard: moments of columns, and how long actions are held."""

from collections.abc import Callable

import numpy as np

from mosim.core.frozen import Frozen


class Place(Frozen):
    """A row of a dataset: its episode, from 0, and its physics step within that."""

    episode: int
    step: int


class HeldActions(Frozen):
    """For how many physics steps an action is held before another follows; cut short by the end of an episode.

    Attributes:
      count: how many there are.
      mean, median, longest: in physics steps.
    """

    count: int
    mean: float
    median: float
    longest: int


class Moments:
    """Extremes, mean and deviation of columns; what is not finite is counted and left out.

    Attributes:
      rows: how many were added.
      not_finite: by column, `(columns,)`.
      first_not_finite: by column, where the first of them is.
    """

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.not_finite = np.zeros(columns, int)
        self.first_not_finite: dict[int, Place] = {}
        self._lowest, self._highest = np.full(columns, np.inf), np.full(columns, -np.inf)
        self._count, self._mean, self._squares = np.zeros(columns), np.zeros(columns), np.zeros(columns)

    def add(self, values: np.ndarray, place: Callable[[int], Place]) -> None:
        """Adds rows, `(rows, columns)`; `place` says where in the dataset a row is."""
        finite = np.isfinite(values)
        self.rows += len(values)
        self.not_finite += len(values) - finite.sum(axis=0)
        for column in np.flatnonzero(~finite.all(axis=0)).tolist():
            self.first_not_finite.setdefault(column, place(int(np.argmin(finite[:, column]))))
        self._lowest = np.minimum(self._lowest, np.min(values, axis=0, where=finite, initial=np.inf))
        self._highest = np.maximum(self._highest, np.max(values, axis=0, where=finite, initial=-np.inf))
        self._merge(np.where(finite, values, 0.0), finite)

    def summary(self, column: int) -> dict[str, float | None]:
        """`minimum`, `maximum`, `mean` and `deviation` of a column; None where nothing in it is finite."""
        if not self._count[column]:
            return dict.fromkeys(("minimum", "maximum", "mean", "deviation"))
        return {
            "minimum": float(self._lowest[column]),
            "maximum": float(self._highest[column]),
            "mean": float(self._mean[column]),
            "deviation": float(np.sqrt(self._squares[column] / self._count[column])),
        }

    def _merge(self, values: np.ndarray, finite: np.ndarray) -> None:
        """Chan's update, which loses nothing where the mean is far from zero."""
        count = finite.sum(axis=0)
        safe = np.maximum(count, 1)
        mean = values.sum(axis=0) / safe
        squares = (np.where(finite, values - mean, 0.0) ** 2).sum(axis=0)
        total = self._count + count
        gap = np.where(count > 0, mean - self._mean, 0.0)
        self._squares += np.where(count > 0, squares, 0.0) + gap**2 * self._count * count / np.maximum(total, 1)
        self._mean += gap * count / np.maximum(total, 1)
        self._count = total


class Holds:
    """For how many physics steps actions are held."""

    def __init__(self) -> None:
        self._by_length = np.zeros(1, int)

    def add(self, actions: np.ndarray) -> None:
        """Adds an episode's actions, `(steps, nu)`."""
        if not len(actions):
            return
        changes = np.flatnonzero(np.any(actions[1:] != actions[:-1], axis=1)) + 1
        lengths = np.bincount(np.diff(np.concatenate([[0], changes, [len(actions)]])))
        size = max(len(lengths), len(self._by_length))
        self._by_length = np.pad(self._by_length, (0, size - len(self._by_length)))
        self._by_length[: len(lengths)] += lengths

    def summary(self) -> HeldActions:
        """All of them together."""
        count = int(self._by_length.sum())
        if not count:
            return HeldActions(count=0, mean=0.0, median=0.0, longest=0)
        steps, up_to = np.arange(len(self._by_length)), np.cumsum(self._by_length)
        lower, upper = (int(np.searchsorted(up_to, rank, side="right")) for rank in ((count - 1) // 2, count // 2))
        return HeldActions(
            count=count,
            mean=float(steps @ self._by_length / count),
            median=(lower + upper) / 2,
            longest=int(np.flatnonzero(self._by_length)[-1]),
        )
