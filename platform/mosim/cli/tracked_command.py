"""What commands share that work for long: a log file, MLflow, and the flags for both."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, Verbose
from mosim.core.console import LOG_FILE, quiet
from mosim.robots import label_of
from mosim.tracking import TrackedRun, Tracker, environment_tags


class TrackedOptions(CommandOptions):
    """Options of a command that is tracked."""

    experiment: str = Field(default="mosim", description="Name of the MLflow experiment.")
    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None,
        description="MLflow tracking URI, or off for no tracking. If omitted: MLFLOW_TRACKING_URI, or ./mlflow.db.",
    )
    verbose: Verbose = Field(
        default=False, description="Show the output of libraries on the terminal; otherwise it goes to a log file."
    )


@contextmanager
def tracked_command(options: TrackedOptions, out: Path, command: str, task: str) -> Iterator[TrackedRun]:
    """Turns libraries' chatter into a log file in `out`, and tracks the command as a run `<command> <task>`."""
    with (
        quiet(out / LOG_FILE, options.verbose),
        Tracker.open(out, options.experiment, options.tracking_uri) as tracker,
        tracker.run(f"{command} {label_of(task)}", tags={"phase": command, "task": task, **environment_tags()}) as run,
    ):
        yield run
