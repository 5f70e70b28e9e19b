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
    """Send to MLflow what its tracking server missed while it was down or slow.

    Everything that a mosim command tracks is first stored in its output folder, in tracking/journal.jsonl, and sent
    from there. Sending twice is safe: every run, metric value and file arrives once. For example, after a run:

      mosim sync runs/reacher-easy

    Without --tracking-uri, runs are sent only to the store in MLFLOW_TRACKING_URI or ./mlflow.db, so that a folder
    received from somebody else cannot name a server. With it, all runs are sent to the given store, including those
    that were sent to another one before:

      mosim sync runs/reacher-easy --tracking-uri http://mlflow.example.org
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR ...]")]
    """Output folders of finished or interrupted commands, such as runs/reacher-easy."""

    tracking_uri: str | None = None
    """Where to send: an MLflow server, or sqlite:///FILE. If omitted: MLFLOW_TRACKING_URI, or ./mlflow.db."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(SyncOptions, "sync", arguments)
    if not options.folders:
        raise MosimError("no output folder is given; give one, for example: mosim sync runs/reacher-easy")
    for folder in options.folders:
        sent = sync(folder, options.tracking_uri)
        console.print(
            f"{folder}: {sent} events sent." if sent else f"{folder}: nothing to send, all events were sent before."
        )
