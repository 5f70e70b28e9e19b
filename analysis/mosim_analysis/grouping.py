"""Groups: runs that are drawn in one colour, and of which seeds are told together."""

import difflib

import pandas as pd

from mosim_analysis import names
from mosim_analysis.errors import AnalysisError

_SEEDS = ("seed", "policy.seed", "dataset.id", "dataset.heldout.id")
"""What differs between runs that differ in their seed alone, since data are drawn by it too."""

_MEASURED = ("evaluation.", "horizons", "starts")

NOT_SET = "not set"

_LONGEST = 60
"""Characters of a label made of parameters; where it would be longer, the runs' own name is the label."""


def group_runs(runs: pd.DataFrame, parameters: pd.DataFrame, by: str | None = None) -> pd.Series:
    """A label for each run.

    Args:
      runs: `name`, `task`, `variant`, `sweep`, `baselines` by run.
      parameters: a row a run; see `Results`.
      by: a column of `parameters`; None for what stands together by itself: variants of a study, trials of a sweep,
        and otherwise runs that differ in nothing but seeds.

    Returns:
      By run; None for baselines, which belong to all groups.

    Raises:
      AnalysisError: no run has such a parameter; says which are near.
    """
    if by is not None:
        if by not in parameters:
            known = sorted(map(str, parameters))
            near = difflib.get_close_matches(by, known, n=3) or known
            raise AnalysisError(f"no run has a parameter or tag {by!r}; available: {', '.join(near)}.")
        labels = by.rpartition(".")[2] + " " + parameters[by].astype("object").where(parameters[by].notna(), NOT_SET)
        return labels.astype("object").where(~runs["baselines"], None)
    labels = runs["variant"].astype("object").where(runs["variant"] != "", None)
    alone = runs.index[labels.isna() & ~runs["baselines"]]
    labels[alone] = _by_settings(runs.loc[alone], settings(parameters.loc[alone]))
    return labels.where(~runs["baselines"], None)


def settings(parameters: pd.DataFrame) -> pd.DataFrame:
    """Those parameters that say what was done, without seeds, and without how it was measured."""
    measured = [name for name in parameters if str(name).startswith(_MEASURED)]
    return parameters.drop(columns=[*names.NOT_SETTINGS, *_SEEDS, *measured], errors="ignore")


def _by_settings(runs: pd.DataFrame, parameters: pd.DataFrame) -> pd.Series:
    """Labels of runs by the settings in which they differ from others of their task and phase."""
    labels = pd.Series(index=runs.index, dtype="object")
    for _, of_phase in runs.groupby(["task", "phase"], sort=False):
        ids, phase = of_phase.index, str(of_phase["phase"].iloc[0])
        told = parameters.loc[ids].astype("object").where(parameters.loc[ids].notna(), NOT_SET)
        varied = told.loc[:, told.nunique() > 1]
        kinds = varied.apply(tuple, axis=1) if len(varied.columns) else pd.Series([()] * len(ids), index=ids)
        for number, (_, of_kind) in enumerate(kinds.groupby(kinds, sort=False).groups.items(), 1):
            name = f"{phase} {number}" if phase else runs.loc[of_kind[0], "name"]
            first = varied.loc[of_kind[0]]
            said = ", ".join(f"{column.rpartition('.')[2]} {value}" for column, value in first.items())
            fits = 0 < len(said) <= _LONGEST
            labels[of_kind] = said if fits else (phase or name) if not len(varied.columns) else name
    return labels
