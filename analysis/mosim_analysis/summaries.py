"""What a group of runs says together, as a frame: a middle and an interval over its runs at each place of an axis."""

import numpy as np
import pandas as pd

from mosim_analysis import names
from mosim_analysis.statistics import Statistic, bootstrap, log_median

COLUMNS = ("group", "x", "middle", "low", "high", "runs")

_POINTS = 60
"""Of a line, which a screen cannot tell from more."""


def thinned_steps(longest: int, points: int = _POINTS) -> np.ndarray:
    """Some of the steps 1 to `longest`, apart by a factor, the standard horizons among them."""
    spread = np.unique(np.geomspace(1, longest, points).round().astype(int))
    standard = [horizon for horizon in names.STANDARD_HORIZONS if horizon <= longest]
    return np.unique(np.concatenate([spread, standard]))


def thinned(frame: pd.DataFrame, x: str, points: int = _POINTS) -> pd.DataFrame:
    """A frame with at most about `points` rows of each run, evenly, the last one and every stage's end among them."""
    kept = []
    for _, rows in frame.groupby("run", sort=False):
        rows = rows.sort_values(x)
        every = max(1, -(-len(rows) // points))
        keep = np.arange(len(rows)) % every == 0
        keep[-1] = True
        if "stage" in rows:
            keep |= rows["stage"].ne(rows["stage"].shift(-1)).to_numpy()
        kept.append(rows[keep])
    return pd.concat(kept, ignore_index=True) if kept else frame


def over_runs(
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    statistic: Statistic = log_median,
    logarithmic: bool = True,
    points: int = _POINTS,
) -> pd.DataFrame:
    """The middle and the interval of every group that has several runs.

    Where all runs of a group have the same places on the axis, these are taken; otherwise lines are drawn through each
    run's points, and read at places that all of them reach.

    Args:
      frame: `run`, `group`, and the columns `x` and `y`.
      x: name of a column.
      y: name of a column.
      statistic: see `bootstrap`.
      logarithmic: whether lines between points are straight where `y` has a logarithmic axis.
      points: how many places are taken where they must be chosen.

    Returns:
      Columns: `group, x, middle, low, high, runs`.
    """
    rows = []
    for group, of_group in frame.dropna(subset=[x, y]).groupby("group", sort=False):
        places, values = _aligned([run for _, run in of_group.groupby("run", sort=False)], x, y, logarithmic, points)
        if len(values) < 2 or not len(places):
            continue
        interval = bootstrap(values, statistic)
        rows.append(
            pd.DataFrame(
                {
                    "group": group,
                    "x": places,
                    "middle": interval.value,
                    "low": interval.low,
                    "high": interval.high,
                    "runs": len(values),
                }
            )
        )
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))


def final(frame: pd.DataFrame, x: str) -> pd.DataFrame:
    """The last row of each run along the axis `x`."""
    return frame.sort_values(x).groupby("run", sort=False).tail(1)


def _aligned(runs: list[pd.DataFrame], x: str, y: str, logarithmic: bool, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Places `(P,)` and values `(runs, P)`."""
    common = set.intersection(*(set(run[x]) for run in runs))
    if len(common) > 1 or all(len(run) == 1 for run in runs):
        places = np.array(sorted(common))
        return places, np.stack([run.drop_duplicates(x).set_index(x)[y].reindex(places) for run in runs])
    start, stop = max(run[x].min() for run in runs), min(run[x].max() for run in runs)
    if not start < stop:
        return np.array([]), np.empty((len(runs), 0))
    places = np.linspace(start, stop, points)
    into, back = (_log, np.exp) if logarithmic else (_same, _same)
    ordered = [run.sort_values(x) for run in runs]
    return places, np.stack([back(np.interp(places, run[x], into(run[y].to_numpy(float)))) for run in ordered])


def _log(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _same(values: np.ndarray) -> np.ndarray:
    return values
