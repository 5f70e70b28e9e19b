"""`mosim systems`: every task, with the facts of its system."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich import box
from rich.table import Table

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console, quiet
from mosim.core.errors import MosimError
from mosim.robots import System, robot_names
from mosim.tasks import Task, load_system, load_task, task_names

_COLUMNS = (
    "task", "nq", "nv", "na", "nu", "timestep", "control_step", "episode_steps", "observation_size", "unsupported",
)  # fmt: skip


class Options(CommandOptions):
    """List every task with its state and action sizes, time steps in seconds and episode length in control steps.

    Then follow robots without a task, whose models come from packages or from a checkout of the MuJoCo Menagerie, which
    the environment variable MENAGERIE_ROOT names. For those that are not installed, a sentence says how to get them.
    """

    tasks: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[TASK|ROBOT ...]")] = Field(
        default=(), description="The tasks and robots to list; all by default."
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        default=False, description="Print JSON instead of a table."
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "systems", arguments)
    with quiet(Path(os.devnull)):
        rows = [_row(name) for name in options.tasks or (*task_names(), *robot_names())]
    if options.as_json:
        console.print(json.dumps(rows, indent=2))
    elif console.is_terminal:
        console.print(_table(rows))
        for reason in sorted({str(row["unsupported"]) for row in rows if "unsupported" in row}):
            console.print(f"not supported: {reason}")
    else:
        console.print(_aligned(rows))


def _row(name: str) -> dict[str, object]:
    try:
        robot = name in robot_names()
        return {"task": name, **_facts(load_system(name) if robot else load_task(name, allow_imports=True))}
    except MosimError as error:
        if name not in (*task_names(), *robot_names()):
            raise
        return {"task": name, "unsupported": str(error)}


def _facts(system: System) -> dict[str, object]:
    facts = system.facts
    sizes = {"nq": facts.nq, "nv": facts.nv, "na": facts.layout.na, "nu": facts.nu, "timestep": facts.timestep}
    if not isinstance(system, Task):
        return sizes
    return {
        **sizes,
        "control_step": system.control_timestep,
        "episode_steps": system.episode_steps,
        "observation_size": system.observation_size,
    }


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in _COLUMNS[:-1]:
        table.add_column(column.replace("_", " "), justify="left" if column == "task" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in _COLUMNS[:-1]))
    return table


def _aligned(rows: list[dict[str, object]]) -> str:
    """Plain lines whose words are columns; the last column alone holds more than a word."""
    lines = [list(_COLUMNS), *([_cell(row.get(column)) for column in _COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in lines)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
