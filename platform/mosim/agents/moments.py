"""Mean and deviation of observations, kept up batch by batch, by which policies see them."""

from typing import Any

import numpy as np

CLIP = 10.0
"""Largest magnitude of a filtered observation, in standard deviations."""

SMALL = 1e-8
"""Added to the standard deviation, for what never changes."""


class Moments:
    """Count, mean and summed squared deviation of vectors, in float64, kept up batch by batch."""

    def __init__(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        self.count, self.mean, self.squares = count, mean, squares

    @classmethod
    def none(cls) -> "Moments":
        """Those of no vectors, of whatever width."""
        return cls(0, np.zeros(()), np.zeros(()))

    @classmethod
    def of(cls, batch: np.ndarray) -> "Moments":
        """Those of the rows of `batch`, `(rows, size)`."""
        batch = batch.astype(np.float64)
        mean = batch.mean(axis=0)
        return cls(len(batch), mean, ((batch - mean) ** 2).sum(axis=0))

    def joined(self, other: "Moments") -> "Moments":
        """Those of both sets together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + step * (other.count / count),
            self.squares + other.squares + step**2 * (self.count * other.count / count),
        )

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation; 1 where fewer than two vectors have been seen."""
        return np.sqrt(self.squares / (self.count - 1)) if self.count > 1 else np.ones_like(self.squares)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return {"count": self.count, "mean": self.mean.copy(), "squares": self.squares.copy()}
