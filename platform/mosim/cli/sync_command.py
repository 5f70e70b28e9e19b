"""`mosim sync`: sends what a tracking server has missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mosim.cli.parsing import parse
from mosim.core.console import console
from mosim.core.errors import MosimError
from mosim.tracking import sync


@dataclass(frozen=True)
class SyncOptions:
    """Sends to MLflow what its tracking server has missed while it was down or slow.

    Whatever a command of mosim tracks is first kept under its output folder, in tracking/journal.jsonl, and sent from
    there. Sending twice does no harm: every run, point and file arrives once. After the work, for example:

      mosim sync runs/reacher-easy

    Runs that were sent elsewhere than MLFLOW_TRACKING_URI or ./mlflow.db says are sent where --tracking-uri says, so
    that a folder received from somebody else tells no server of itself; all of them, also where some went before:

      mosim sync runs/reacher-easy --tracking-uri http://mlflow.example.org
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR ...]")]
    """Output folders of finished or interrupted commands, such as runs/reacher-easy."""

    tracking_uri: str | None = None
    """Where to send: an MLflow server, or sqlite:///FILE. By default MLFLOW_TRACKING_URI, or ./mlflow.db."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(SyncOptions, "sync", arguments)
    if not options.folders:
        raise MosimError("which output folder? For example: mosim sync runs/reacher-easy")
    for folder in options.folders:
        sent = sync(folder, options.tracking_uri)
        console.print(f"{folder}: {sent} events sent." if sent else f"{folder}: all had been sent already.")
