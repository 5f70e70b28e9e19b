"""The page's words and tables as HTML: the headline, what went wrong, what differs, and every run."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import pandas as pd

from mosim_analysis import names
from mosim_analysis.headline import Finding
from mosim_analysis.names import Style

Swatch = Callable[[Style], str]

_BAD = {"FAILED": "failed", "KILLED": "was killed"}
_MOST_TROUBLES = 12

_MANY = 10_000

_FIGURES = {
    "error_16": "error at 16",
    "error_100": "error at 100",
    "error_1000": "error at 1000",
    "true_return": "true return",
    "simulated_return": "simulated return",
    "speed": "steps predicted per second",
}


def findings_list(findings: Sequence[Finding]) -> str:
    """The headline, one finding a line."""
    if not findings:
        return '<p class="lead">There is nothing to compare yet: no run has a horizon error or a return.</p>'
    lines = []
    for finding in findings:
        sign = {True: "sure", False: "unsure", None: "untold"}[finding.beyond_spread]
        best = f"<b>{escape(finding.best)}</b>" if finding.best else ""
        about = finding.about[0].upper() + finding.about[1:]
        lines.append(
            f'<li class="{sign}"><span class="about">{escape(about)}</span>'
            f"<span>{best}{escape(finding.text)}</span></li>"
        )
    return f'<ul class="findings">{"".join(lines)}</ul>'


def troubles(runs: pd.DataFrame) -> str:
    """Runs that failed, that still run, or that lack what they should have; nothing where there are none."""
    bad = runs[runs["status"].isin(list(_BAD))]
    running = runs[runs["status"].isin(["RUNNING", "SCHEDULED"])]
    lacking = runs[(runs["missing"] != "") & ~runs.index.isin(bad.index)]
    lines = [
        f"<li><b>{escape(str(row['name']))}</b> {_BAD[str(row['status'])]}"
        + (f": {escape(str(row['failure']))}" if row["failure"] else "")
        + "</li>"
        for _, row in bad.iterrows()
    ]
    lines += [
        f"<li><b>{escape(str(row['name']))}</b> has logged no {escape(str(row['missing']))}</li>"
        for _, row in lacking.iterrows()
    ]
    if len(running):
        few = ", ".join(map(str, running["name"].head(3))) + (", ..." if len(running) > 3 else "")
        has = "has not ended; its" if len(running) == 1 else "have not ended; their"
        lines.append(f"<li>{len(running)} ({escape(few)}) {has} values are preliminary</li>")
    if not lines:
        return ""
    said = []
    if len(bad):
        said.append(f"{len(bad)} run failed" if len(bad) == 1 else f"{len(bad)} runs failed")
    if len(lacking):
        said.append(f"{len(lacking)} lack{'s' * (len(lacking) == 1)} results")
    if len(running):
        said.append(f"{len(running)} still running")
    more = f"<li>and {len(lines) - _MOST_TROUBLES} more, in the table of runs</li>" * (len(lines) > _MOST_TROUBLES)
    return (
        f'<details class="troubles"><summary>{", ".join(said)}</summary>'
        f"<ul>{''.join(lines[:_MOST_TROUBLES])}{more}</ul></details>"
    )


def difference_table(table: pd.DataFrame, styles: dict[str, Style], swatch: Swatch) -> str:
    """The parameters that differ, a row each."""
    title = "<h2>Parameters that differ</h2>"
    if not len(table):
        return f'<section class="card">{title}<p class="lead">No parameter differs.</p></section>'
    head = "".join(
        f'<th data-group="{escape(group)}" scope="col">{swatch(styles[group])}{escape(group)}</th>'
        for group in map(str, table)
    )
    rows = []
    for name, cells in table.iterrows():
        usual = cells.mode().iloc[0] if len(cells) > 2 else None
        rows.append(
            f'<tr><th scope="row">{escape(str(name))}</th>'
            + "".join(_difference(str(group), str(value), usual) for group, value in cells.items())
            + "</tr>"
        )
    lead = "Only parameters that differ between runs; values that most groups share are grey."
    return (
        f'<section class="card">{title}<p class="lead">{lead}</p><div class="wide table"><table class="differences">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _difference(group: str, value: str, usual: str | None) -> str:
    kind = ' class="usual"' if value == usual else ""
    return f'<td data-group="{escape(group)}"{kind}>{escape(value)}</td>'


def run_table(runs: pd.DataFrame, styles: dict[str, Style], swatch: Swatch) -> str:
    """Every run: its state, and its last figures."""
    runs = runs[~runs["baselines"]]
    figures = {column: title for column, title in _FIGURES.items() if runs[column].notna().any()}
    head = "".join(f'<th class="number" scope="col">{title}</th>' for title in figures.values())
    levels = bool((runs["knowledge"] != "").any())
    knowledge = '<th scope="col">knowledge</th>' if levels else ""
    rows = "".join(_run_row(str(run), row, figures, levels, styles, swatch) for run, row in runs.iterrows())
    return (
        f'<section class="card"><h2>All runs</h2><div class="wide table tall"><table class="runs"><thead><tr>'
        f'<th scope="col">run</th><th scope="col">group</th>{knowledge}'
        f'<th class="number" scope="col">seed</th>'
        f'<th scope="col">state</th>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _run_row(
    run: str, row: pd.Series, figures: dict[str, str], levels: bool, styles: dict[str, Style], swatch: Swatch
) -> str:
    group = str(row["group"])
    state = str(row["status"]).lower()
    words = "; ".join(filter(None, [row["failure"], f"no {row['missing']}" if row["missing"] else ""]))
    kind = "bad" if row["status"] in _BAD else "lacking" if row["missing"] else state
    seed = "" if pd.isna(row["seed"]) else str(int(row["seed"]))
    numbers = "".join(f'<td class="number">{_number(float(row[column]))}</td>' for column in figures)
    knowledge = f"<td>{escape(str(row['knowledge']))}</td>" if levels else ""
    run = escape(run)
    return (
        f'<tr data-run="{run}" data-group="{escape(group)}"><td title="{run}">{escape(str(row["name"]))}</td>'
        f'<td><span class="named">{swatch(styles[group]) if group in styles else ""}{escape(group)}</span></td>'
        f"{knowledge}"
        f'<td class="number">{seed}</td>'
        f'<td><span class="badge {kind}">{state}</span> <span class="why">{escape(words)}</span></td>{numbers}</tr>'
    )


def _number(value: float) -> str:
    if np.isnan(value):
        return '<span class="missing">missing</span>'
    return f"{value:,.0f}" if _MANY <= value < np.inf else names.figure_of(value)
