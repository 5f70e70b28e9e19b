"""What an experiment has come to, in words: which is best at which horizon, and whether seeds could have done it."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mosim_analysis import names
from mosim_analysis.statistics import ENOUGH_SEEDS, LEVEL, bootstrap, interquartile_mean, log_median, ratio

HORIZONS = (16, 100, 1000)


class Finding(NamedTuple):
    """A sentence or two.

    Attributes:
      about: what they are about, such as `100 steps`.
      best: the group or the run that is best; empty where there is none.
      text: the rest, beginning where `best` ends.
      beyond_spread: whether the difference is beyond what other seeds would do; None where that cannot be told.
    """

    about: str
    best: str
    text: str
    beyond_spread: bool | None = None


def horizon_findings(frame: pd.DataFrame, horizons: tuple[int, ...] = HORIZONS) -> list[Finding]:
    """The best at each horizon.

    Args:
      frame: see `mosim_analysis.figures.horizon_curves`; of one task.
      horizons: those of them that were measured are told of.
    """
    runs = frame[~frame["model"].isin(list(names.BASELINES))]
    measured = {horizon: at for horizon in horizons if len(at := runs[(runs["step"] == horizon) & runs["mse"].notna()])}
    return [_at_horizon(horizon, rows) for horizon, rows in measured.items()]


def return_findings(frame: pd.DataFrame) -> list[Finding]:
    """What the policies are worth that were trained in simulators alone.

    Args:
      frame: see `mosim_analysis.figures.returns_against_truth`; of one task.
    """
    last = frame.sort_values("step").groupby(["run", "policy"], sort=False).tail(1)
    zero_shot = last[(last["policy"] == names.ZERO_SHOT) & last["simulated"].notna()]
    return [_of_returns(str(group), rows, last) for group, rows in zero_shot.groupby("group", sort=False)]


def _at_horizon(horizon: int, rows: pd.DataFrame) -> Finding:
    about = names.steps_of(horizon)
    # Trials of a sweep are not seeds of one thing: the best of them stands for them.
    contenders: dict[str, np.ndarray] = {}
    for group, of_group in rows.groupby("group", sort=False):
        if (of_group["sweep"] == "").all():
            contenders[str(group)] = of_group["mse"].to_numpy(float)
        else:
            best = of_group.sort_values("mse").iloc[0]
            contenders[f"{best['name']} of {group}"] = np.array([best["mse"]])
    ordered = sorted(contenders, key=lambda name: float(log_median(contenders[name])))
    best, ours = ordered[0], contenders[ordered[0]]
    if not np.isfinite(log_median(ours)):
        return Finding(about, "", "every prediction diverges.")
    said = f"a horizon error of {_measured(ours)}"
    if len(ordered) == 1:
        return Finding(about, best, f" has {said}.")
    second, theirs = ordered[1], contenders[ordered[1]]
    if not np.isfinite(log_median(theirs)):
        return Finding(about, best, f" is best, with {said}; the second, {second}, diverges.")
    times = ratio(ours, theirs)
    than = f"{_times(times.value)} times lower than that of {second}, {_measured(theirs)}"
    if min(len(ours), len(theirs)) < ENOUGH_SEEDS:
        fewest = min(len(ours), len(theirs))
        seeds = "one run" if fewest == 1 else f"{fewest} seeds"
        lowest = f" has the lowest error: {said}, {than}"
        return Finding(about, best, f"{lowest}. With {seeds}, chance cannot be ruled out.")
    interval = f"{LEVEL:.0%} interval: {_times(times.low)} to {_times(times.high)} times"
    if times.low > 1:
        verdict = f"The difference is larger than the spread over seeds ({interval})."
        return Finding(about, best, f" is best, with {said}, {than}. {verdict}", True)
    verdict = f"The difference is within the spread over seeds ({interval}), so neither is shown to be better."
    return Finding(about, best, f" has the lowest error: {said}, {than}. {verdict}", False)


def _times(factor: np.ndarray) -> str:
    return f"{float(factor):.2f}" if factor < 10 else f"{float(f'{factor:.2g}'):,.0f}"


def _measured(values: np.ndarray) -> str:
    """An error with its interval: `4.2e-06 (3.9e-06 to 5.1e-06, 3 seeds)`."""
    interval = bootstrap(values)
    middle = names.figure_of(float(interval.value))
    if len(values) == 1:
        return middle
    low, high = names.figure_of(float(interval.low)), names.figure_of(float(interval.high))
    between = f"{low} to {high}" if np.isfinite(interval.high) else f"{low} or more"
    diverged = int(np.isinf(values).sum())
    return f"{middle} ({between}, {len(values)} seeds" + f", {diverged} diverged" * bool(diverged) + ")"


def _of_returns(group: str, rows: pd.DataFrame, last: pd.DataFrame) -> Finding:
    true, simulated = rows["true"].to_numpy(float), rows["simulated"].to_numpy(float)
    interval = bootstrap(true, interquartile_mean)
    runs = "" if len(true) == 1 else f" ({interval.low:.0f} to {interval.high:.0f}, {len(true)} seeds)"
    gap = float(interquartile_mean(simulated) - interval.value)
    said = f" reaches a return of {interval.value:.0f}{runs} in the true task, and "
    said += (
        f"{abs(gap):.0f} {'more' if gap > 0 else 'less'} in the simulator"
        if round(gap)
        else "the same return in the simulator"
    )
    compared = last[(last["policy"] == names.TRUE_TRAINED) & last["run"].isin(rows["run"])]["true"].to_numpy(float)
    if len(compared) and interquartile_mean(compared) > 0:
        reference = float(interquartile_mean(compared))
        said += (
            f"; that is {float(interval.value) / reference:.0%} of the return after training in the true task "
            f"({reference:.0f})"
        )
    return Finding("zero-shot return", group, f"{said}.")
