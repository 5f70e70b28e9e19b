"""The page: one HTML file with everything in it, plotly.js once, that needs no server and no network."""

import hashlib
import json
import math
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from itertools import groupby
from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mosim_analysis.names import Style
from mosim_analysis.report import Section, TaskReport, report
from mosim_analysis.results import Results
from mosim_analysis.tables import difference_table, findings_list, run_table, troubles

_DIGITS = 4
"""Of numbers in figures, significant ones; a screen shows no more."""


_MARKUP = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
"""What could end or change the script that JSON stands in, as JSON may also write it; none of it is JSON's own."""

_PLACE = re.compile("<!--(\\w+)-->")

_WITHOUT_LINES = ("dimensions", "sweep", "importance")
"""Sections whose colours are not those of groups."""


def page(results: Results, *, experiment: str, source: str, refresh_seconds: int | None = None) -> str:
    """The page of an experiment, as HTML.

    Args:
      results: of `read_results`.
      experiment: its name.
      source: where it was read, without passwords.
      refresh_seconds: how often the page loads itself anew, for one that is rewritten; None for never.
    """
    tasks, styles = report(results)
    places = {run: place for place, run in enumerate(results.runs.index)}
    data = {
        "key": f"mosim compare {experiment} {source}",
        "groups": _groups(results.runs, styles),
        "runs": [
            {
                "id": run,
                "name": str(row["name"]),
                "group": row["group"],
                "task": row["task"],
                "state": _state(row),
            }
            for run, row in results.runs.iterrows()
        ],
        "figures": {
            f"{number}-{section.key}": _packed(section.figure, places)
            for number, task in enumerate(tasks)
            for section in task.sections
            if section.figure is not None
        },
    }
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    plotly, script = get_plotlyjs(), _asset("page.js")
    parts = {
        "hashes": f"{_hash(plotly)} {_hash(script)}",
        "name": escape(experiment),
        "title": escape(experiment),
        "refresh": refresh,
        "style": _asset("page.css"),
        "subtitle": _subtitle(results, styles, source, len(tasks)),
        "troubles": troubles(results.runs),
        "tasks": _task_buttons([task.task for task in tasks]),
        "sections": "".join(_task_part(number, task, styles) for number, task in enumerate(tasks)),
        "data": embedded(data),
        "plotly": plotly,
        "script": script,
    }
    # All at once, so that a part which holds the name of another stays as it is.
    return _PLACE.sub(lambda place: parts[place[1]], _asset("page.html"))


def embedded(value: Any) -> str:
    """JSON that can stand in a page's script: without any sign that HTML or JavaScript take for their own."""
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False).translate(_MARKUP)


def _hash(script: str) -> str:
    """A script as a content security policy allows it: by what it is, so that a browser runs no other."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (resources.files("mosim_analysis") / "assets" / name).read_text(encoding="utf-8")


def _groups(runs: pd.DataFrame, styles: dict[str, Style]) -> list[dict[str, str]]:
    return [{"name": name, "colour": style.colour, "swatch": swatch(style)} for name, style in styles.items()]


def _state(row: pd.Series) -> str:
    """What is said of a run beside its name; empty where all is well."""
    said = {"FAILED": "failed", "KILLED": "killed", "RUNNING": "running", "SCHEDULED": "running"}
    return said.get(row["status"], "incomplete" if row["missing"] else "")


def swatch(style: Style) -> str:
    """A piece of a group's line, as an inline SVG."""
    dashes = {"solid": "", "dash": "6 4", "dot": "1.5 3", "dashdot": "6 3 1.5 3"}[style.dash]
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true"><line x1="1" y1="5" x2="25" y2="5" '
        f'stroke="{style.colour}" stroke-width="3"{dash}/></svg>'
    )


def _subtitle(results: Results, styles: dict[str, Style], source: str, tasks: int) -> str:
    runs = int((~results.runs["baselines"]).sum())
    now = datetime.now(UTC)
    counted = [_counted(runs, "run"), _counted(len(styles), "group"), *([_counted(tasks, "task")] if tasks > 1 else [])]
    return f"{' · '.join(counted)} · read {now:%Y-%m-%d %H:%M} UTC from <span class='source'>{escape(source)}</span>"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _task_buttons(tasks: Sequence[str]) -> str:
    if len(tasks) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" class="task" data-task="{number}">{escape(task) or "no task"}</button>'
        for number, task in enumerate(tasks)
    )
    return f'<div class="tasks" role="group" aria-label="Task">{buttons}</div>'


def _task_part(number: int, task: TaskReport, styles: dict[str, Style]) -> str:
    empty = "".join(
        f"<li><b>{escape(section.title)}.</b> {escape(section.excuse)}</li>"
        for section in task.sections
        if section.figure is None
    )
    not_shown = f'<section class="card quiet"><h2>Not shown</h2><ul>{empty}</ul></section>' if empty else ""
    return (
        f'<div class="task-part" data-task="{number}">'
        f'<section class="card headline"><h2>{escape(task.task) or "Headline"}</h2>'
        f"{findings_list(task.findings)}</section>"
        + "".join(_section(number, section, section.figure) for section in task.sections if section.figure is not None)
        + difference_table(task.differences, styles, swatch)
        + run_table(task.runs, styles, swatch)
        + not_shown
        + "</div>"
    )


def _section(number: int, section: Section, figure: go.Figure) -> str:
    traces = cast("tuple[Any, ...]", figure.data)
    captions = dict.fromkeys(_caption(trace) for trace in traces if (trace.meta or {}).get("caption"))
    caption = f'<p class="caption">{"".join(captions)}</p>' if captions else ""
    legend = "" if section.key.startswith(_WITHOUT_LINES) else '<div class="legend"></div>'
    return (
        f'<section class="card" id="{number}-{section.key}-card"><h2>{escape(section.title)}</h2>'
        f'<p class="lead">{escape(section.lead)}</p>{caption}'
        f'{legend}<div class="wide"><div class="figure" id="{number}-{section.key}" role="img" '
        f'aria-label="{escape(section.title)}" style="height:{figure.layout.height}px"></div></div></section>'
    )


def _caption(trace: Any) -> str:
    line = trace.line
    drawn = swatch(Style(line.color, line.dash or "solid")) if line is not None and line.color else ""
    return f"<span>{drawn}{escape(trace.meta['caption'])}</span>"


def _packed(figure: go.Figure, places: dict[str, int]) -> dict[str, Any]:
    """A figure as JSON; a trace of runs says by `runs` how many of its points are whose: `[[place, count], ...]`."""
    content = figure.to_plotly_json()
    content["layout"].pop("template", None)
    content["layout"]["showlegend"] = False
    for trace in content["data"]:
        if trace["meta"]["runs"]:
            ids = [run for _, run in trace.pop("customdata")]
            trace["runs"] = [[places[run], len(list(points))] for run, points in groupby(ids)]
    return content


def _finite(value: Any) -> Any:
    """JSON's own types, with numbers rounded to what can be seen, and null for those that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{_DIGITS}g}")
    return value
