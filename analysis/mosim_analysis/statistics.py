"""What several seeds say together: middles, intervals by bootstrap, and what nothing else beats."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""Of intervals."""

RESAMPLES = 2000

ENOUGH_SEEDS = 3
"""With fewer the bootstrap of a median covers far less than `LEVEL`, so no difference is claimed."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Reduces the first axis."""


class Interval(NamedTuple):
    """A statistic of a sample, and where it would lie for other samples.

    Attributes:
      value: of the sample.
      low, high: the percentile bootstrap's interval; equal to `value` for a sample of one.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def log_median(values: np.ndarray) -> np.ndarray:
    """The median over the first axis, taken of logarithms: of an even number, the geometric mean of the middle two.

    Args:
      values: positive or zero; infinite ones count as larger than all others.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # Sorted and picked, since numpy's median of two infinities is not a number.
        ordered = np.log(np.sort(values, axis=0))
        count = len(values)
        low, high = ordered[(count - 1) // 2], ordered[count // 2]
        return np.exp(np.where(low == high, low, (low + high) / 2))


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is left when a quarter is cut off at either end, as in rliable."""
    cut = len(values) // 4
    return np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0)


def bootstrap(
    values: np.ndarray,
    statistic: Statistic = log_median,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """A statistic over seeds with the interval of the percentile bootstrap, for every column at once.

    Args:
      values: `(seeds, ...)`, without nan.
      statistic: of the first axis.
      level: share of resampled statistics within the interval.
      resamples: how many.
      seed: of the resampling.
    """
    value = statistic(values)
    if len(values) == 1:
        return Interval(value, value, value)
    rows = np.random.default_rng(seed).integers(len(values), size=(len(values), resamples))
    drawn = statistic(values[rows])
    return Interval(value, *_between(drawn, level))


def ratio(
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """How many times the median of `theirs` is that of `ours`, with its interval; each is resampled by itself.

    Args:
      ours: `(seeds,)`, positive.
      theirs: `(seeds,)`, positive.
      level: see `bootstrap`, as the others.
      resamples: how many.
      seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    drawn = [
        log_median(values[generator.integers(len(values), size=(len(values), resamples))]) for values in (theirs, ours)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        return Interval(log_median(theirs) / log_median(ours), *_between(drawn[0] / drawn[1], level))


def pareto_front(cost: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Which points no other beats: none has a lower cost and as much gain, or more gain at as low a cost.

    Args:
      cost: `(N,)`, less is better.
      gain: `(N,)`, more is better.

    Returns:
      `(N,)`, bool; False where either is not finite.
    """
    usable = np.isfinite(cost) & np.isfinite(gain)
    front = usable.copy()
    for index in np.flatnonzero(usable):
        better = (cost <= cost[index]) & (gain >= gain[index]) & ((cost < cost[index]) | (gain > gain[index]))
        front[index] = not (better & usable).any()
    return front


def _between(drawn: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the middle `level` of resampled statistics; of what is drawn, none is between two others."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0, method="nearest")
    return low, high
