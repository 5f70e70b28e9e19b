"""What `mosim identify` prints: numbers beside an MJCF's, and what is not determined."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from mosim.core.console import console
from mosim.evaluation import PAIRS, Change, Identified, Number

_TERMS = 3
"""Numbers of a combination that are named."""

_CHANGES = 8
"""Combinations that the data do not determine, at most."""

_WIDEST = 1000
"""Characters of a table's line."""

_IN_PERCENT = 1e-3
"""Difference from which it is printed in percent."""

NOT_DETERMINED = "not determined"


def print_identified(found: Identified, checkpoints: int) -> None:
    """Prints tables and sentences.

    Args:
      found: what to print.
      checkpoints: of how many it is.
    """
    looked_at = "without data" if found.transitions is None else f"intervals from {found.transitions:,} transitions"
    seeds = f", means of {checkpoints} checkpoints" if checkpoints > 1 else ""
    console.print(Text.assemble((found.system, "bold"), f" as learned, {looked_at}{seeds}"))
    for known in found.known if found.against is not None else ():
        console.print(
            f"taken as known: {known.what}, {known.value:.4g}, which sets the scale of all forces in its kinematic tree"
        )
    if found.against is None:
        console.print(
            "motion does not determine the scale of the forces; it is set by giving all shapes the density of water"
        )
    if found.unseen:
        console.print(f"never free of contact and limit forces: {', '.join(found.unseen)}")
    _show(_numbers(found, checkpoints > 1))
    if zeros := sum(number.nothing for number in found.numbers):
        console.print(f"{zeros} parameters that are practically zero are not shown")
    if found.combinations:
        _show(_combinations(found, checkpoints > 1))
    _print_changes(found.changes)


def agreement_table(rollouts: pd.DataFrame) -> Table:
    """Horizon errors of a written model and its simulator."""
    title = "mean squared error over steps 1..H, raw [q, v]; medians over starts in parentheses"
    table = Table(title=title, title_justify="left")
    for column in ("H", "starts", *(pair.replace(",", " against") for pair in PAIRS)):
        table.add_column(column, justify="right")
    for row in rollouts.to_dict("records"):
        errors = [f"{row[pair]:.2g} ({row[f'{pair} median']:.2g})" for pair in PAIRS]
        table.add_row(str(row["horizon"]), str(row["starts"]), *errors)
    return table


def _numbers(found: Identified, spread: bool) -> Table:
    table = _table(("", "parameter"), found, spread)
    for of, numbers in itertools.groupby(found.numbers, key=lambda number: number.of):
        label, unknown = of, []
        for number in numbers:
            if not number.determined:
                unknown.append(number.name)
            elif not number.nothing:
                table.add_row(label, _named(number.name, number.unit), *_cells(number, found, spread))
                label = ""
        if unknown:
            table.add_row(label, _collapsed(unknown), NOT_DETERMINED)
    return table


def _combinations(found: Identified, spread: bool) -> Table:
    table = _table(("determined only in combination",), found, spread)
    for number in found.combinations:
        if number.nothing:
            continue
        cells = _cells(number, found, spread) if number.determined else [NOT_DETERMINED]
        table.add_row(_named(_sum(number.terms), number.unit), *cells)
    return table


def _table(heads: Sequence[str], found: Identified, spread: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for head in heads:
        table.add_column(head, no_wrap=True)
    against = [] if found.against is None else [Path(found.against).name, "difference"]
    for head in ("learned", *(["± 95%"] if found.transitions else []), *(["spread"] if spread else []), *against):
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _cells(number: Number, found: Identified, spread: bool) -> list[str]:
    cells = [f"{number.value:.6g}"]
    if found.transitions:
        cells.append("known" if number.known else "-" if number.half_width is None else f"{number.half_width:.1g}")
    if spread:
        cells.append("-" if number.spread is None else f"{number.spread:.1g}")
    if found.against is not None:
        cells.append("-" if number.reference is None else f"{number.reference:.6g}")
        cells.append("-" if number.difference is None or number.known else _relative(number.difference))
    return cells


def _relative(difference: float) -> str:
    return f"{difference:+.1%}" if abs(difference) >= _IN_PERCENT else f"{difference:+.0e}"


def _print_changes(changes: Sequence[Change]) -> None:
    by_motion = [change for change in changes if change.by == "motion"]
    alone = [change.terms[0][1] for change in by_motion if len(change.terms) == 1]
    if alone:
        console.print("parameters that do not affect motion:")
        parts = [name.partition(" of ") for name in alone]
        for of, names in itertools.groupby(sorted(parts, key=lambda part: part[2]), key=lambda part: part[2]):
            console.print(f"  {of}: {', '.join(name for name, _, _ in names)}")
    if together := [change for change in by_motion if len(change.terms) > 1]:
        console.print("combined changes that do not affect motion:")
        for change in together:
            console.print(f"  {_change(change)}")
    if by_data := [change for change in changes if change.by == "data"]:
        console.print("combined changes that these data do not determine, but other motion would:")
        for change in by_data[:_CHANGES]:
            console.print(f"  {_change(change)}: {_remedy(change)}")
        if len(by_data) > _CHANGES:
            console.print(f"  and {len(by_data) - _CHANGES} more combinations")


def _remedy(change: Change) -> str:
    if not change.remedy:
        return "this needs motion of several joints at once"
    joints, controls = (
        [name for name in change.remedy if name.startswith("ctrl[") == control] for control in (False, True)
    )
    each = [f"motion of {' or '.join(joints)}"] * bool(joints) + [f"control {' or '.join(controls)}"] * bool(controls)
    return f"random {' or '.join(each)} alone would add the most information"


def _change(change: Change) -> str:
    said = [f"{amount:+.3g} {unit} {name}" for amount, name, unit in change.terms]
    return ", ".join(_first(said))


def _sum(terms: Iterable[tuple[float, str]]) -> str:
    said = [f"{weight:.3g} {name}".removeprefix("1 ") for weight, name in terms]
    return " + ".join(_first(said)).replace("+ -", "- ")


def _first(said: list[str]) -> list[str]:
    return said if len(said) <= _TERMS + 1 else [*said[:_TERMS], f"{len(said) - _TERMS} more"]


def _named(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _collapsed(names: list[str]) -> str:
    """Names with all numbers of one kind as that kind: `ipos` for `ipos[0], ipos[1], ipos[2]`."""
    kinds = dict.fromkeys(name.partition("[")[0] for name in names)
    sizes = {"ipos": 3, "fullinertia": 6, "diaginertia": 3}
    parts = []
    for kind in kinds:
        of_kind = [name for name in names if name.partition("[")[0] == kind]
        parts += [kind] if len(of_kind) == sizes.get(kind, 0) else of_kind
    return ", ".join(parts)


def _show(table: Table) -> None:
    # At its own width: a figure that is cut is worse than a line that is broken.
    for line in console.render_lines(table, console.options.update(width=_WIDEST), pad=False):
        console.print(Text.assemble(*((segment.text, segment.style or "") for segment in line)))
