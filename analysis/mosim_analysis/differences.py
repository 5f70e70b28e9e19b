"""Which parameters differ between groups of runs, and only those."""

import pandas as pd

from mosim_analysis import names
from mosim_analysis.grouping import NOT_SET

_MOST_VALUES = 3
"""Values that are told one by one; of more, the lowest, the highest, and how many there are."""

SET = "set"


def differences(parameters: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """The parameters that are not the same in all runs: a row each, a column a group, the cells what the group has.

    Parameters of one prefix that differ in nothing but that some runs have them, such as those of a stage that others
    lack, are one row: `stages.1.* (17 settings)`.

    Args:
      parameters: a row a run, a column a parameter, as texts; missing where it is not set.
      groups: each run's, by the same index; runs without one are left out.

    Returns:
      Texts: `0.003`; `0, 1, 2` where runs of a group differ; `not set`; of a folded row, `set` and `not set`.
    """
    rows = parameters[groups.notna()].drop(columns=list(names.NOT_SETTINGS), errors="ignore")
    told = _folded(rows.astype("object").where(rows.notna(), NOT_SET)[varied(rows)])
    cells = {
        str(group): {name: _said(told.loc[of_group.index, name]) for name in told.columns}
        for group, of_group in groups.dropna().groupby(groups.dropna(), sort=False)
    }
    return pd.DataFrame(cells, index=pd.Index(told.columns, name="parameter")).sort_index()


def typed(parameters: pd.DataFrame) -> pd.DataFrame:
    """Parameters as numbers where all that are set are numbers; texts otherwise."""
    columns = {}
    for name in parameters:
        numbers = pd.to_numeric(parameters[name], errors="coerce")
        is_number = numbers.notna().sum() == parameters[name].notna().sum()
        columns[name] = numbers if is_number else parameters[name]
    return pd.DataFrame(columns, index=parameters.index)


def varied(parameters: pd.DataFrame) -> list[str]:
    """The parameters that are not the same in all runs, those that some runs lack among them."""
    filled = parameters.astype("object").where(parameters.notna(), NOT_SET)
    return [str(name) for name in filled if filled[name].nunique() > 1]


def _folded(told: pd.DataFrame) -> pd.DataFrame:
    """Columns that only say whether their prefix is set, and say so alike, as one."""
    alike: dict[tuple[str, tuple[bool, ...]], list[str]] = {}
    for name in told:
        is_set = told[name] != NOT_SET
        if told[name][is_set].nunique() == 1:
            alike.setdefault((_prefix(str(name)), tuple(is_set)), []).append(str(name))
    columns = {str(name): told[name] for name in told}
    for (prefix, is_set), folded in alike.items():
        if len(folded) > 1:
            for name in folded:
                del columns[name]
            said = pd.Series(is_set, index=told.index).map({True: SET, False: NOT_SET})
            columns[f"{prefix}.* ({len(folded)} settings)"] = said
    return pd.DataFrame(columns, index=told.index)


def _prefix(name: str) -> str:
    """The part of a structure that a parameter belongs to: of `stages.1.batch_size` it is `stages.1`."""
    parts = name.split(".")
    return ".".join(parts[:3] if len(parts) > 3 and parts[2].isdigit() else parts[:2])


def _said(values: pd.Series) -> str:
    distinct = values.unique().tolist()
    numbers = pd.to_numeric(pd.Series(distinct), errors="coerce")
    if numbers.notna().all():
        distinct = [value for _, value in sorted(zip(numbers, distinct, strict=True))]
    if len(distinct) <= _MOST_VALUES:
        return ", ".join(map(str, distinct))
    if numbers.notna().all():
        return f"{distinct[0]} to {distinct[-1]} ({len(distinct)} values)"
    return f"{len(distinct)} values"
