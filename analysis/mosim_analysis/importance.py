"""How much each searched setting matters: fANOVA, by Optuna, over the trials of a sweep."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

FEWEST_TRIALS = 6
"""With fewer, shares are noise."""

_SEED = 0


class Importance(NamedTuple):
    """What fANOVA says.

    Attributes:
      shares: of each setting, the share of the variance of the logarithm of the error; the largest first, 1 together.
      trials: how many have counted.
      left_out: settings that only some trials have, which fANOVA cannot take.
      excuse: why there are no shares; empty where there are.
    """

    shares: pd.Series
    trials: int
    left_out: tuple[str, ...]
    excuse: str


def importance(trials: pd.DataFrame, settings: list[str], error: str = "mse") -> Importance:
    """The importance of settings for the logarithm of an error.

    Args:
      trials: a row a trial: the columns `settings`, as numbers or texts, missing where a trial has none, and `error`.
      settings: names of columns.
      error: name of a column; trials where it is not positive and finite do not count.
    """
    usable = trials[np.isfinite(trials[error].astype(float)) & (trials[error] > 0)]
    whole = [name for name in settings if usable[name].notna().all() and usable[name].nunique() > 1]
    left_out = tuple(name for name in settings if usable[name].isna().any())
    nothing = pd.Series(dtype=float)
    if len(usable) < FEWEST_TRIALS:
        excuse = f"{len(usable)} trials with an error are too few; at least {FEWEST_TRIALS} are needed."
        return Importance(nothing, len(usable), left_out, excuse)
    if not whole:
        return Importance(nothing, len(usable), left_out, "no setting is set in all trials and differs between them.")
    shares = _fanova(usable[whole], np.log(usable[error].to_numpy(float)))
    return Importance(shares.sort_values(ascending=False), len(usable), left_out, "")


def _fanova(settings: pd.DataFrame, target: np.ndarray) -> pd.Series:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    distributions = {str(name): _distribution(settings[name]) for name in settings}
    for row, value in zip(settings.to_dict("records"), target, strict=True):
        drawn = {name: _plain(row[name], distribution) for name, distribution in distributions.items()}
        study.add_trial(optuna.create_trial(params=drawn, distributions=distributions, value=float(value)))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
    return pd.Series(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _distribution(values: pd.Series) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not pd.api.types.is_numeric_dtype(values):
        return CategoricalDistribution(sorted(map(str, values.unique())))
    low, high = float(values.min()), float(values.max())
    return FloatDistribution(low, high, log=is_logarithmic(values))


def _plain(value: Any, distribution: Any) -> Any:
    return str(value) if hasattr(distribution, "choices") else float(value)


def is_logarithmic(values: pd.Series) -> bool:
    """Whether numbers are spread over so many factors that their logarithms are to be looked at."""
    numbers = values.dropna().astype(float)
    return bool(len(numbers)) and numbers.min() > 0 and numbers.max() / numbers.min() > 20
