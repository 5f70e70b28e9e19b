"""`mosim ui`: MLflow's own interface, on the store that runs are tracked in."""

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console
from mosim.tracking import Interface, default_tracking_uri, server_address

_PORT = 5000
"""MLflow's own choice."""


class Options(CommandOptions):
    """Open MLflow's interface on the store that runs are tracked in, until Ctrl-C.

    There runs can be searched and compared: choose some, then Compare. Horizon errors are charts whose step is the
    horizon (horizon_mse/mosim), returns and losses charts by the step of the training; the tags system, task,
    model.structure, model.knowledge, stage and dataset.id are columns to filter and group by.

    Where runs are tracked by a server, it has an interface of its own: then its address is said, and nothing started.

      mosim ui
      mosim ui --tracking-uri sqlite:///elsewhere/mlflow.db --port 5001
    """

    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None, description="MLflow's store. By default MLFLOW_TRACKING_URI, or ./mlflow.db."
    )
    host: str = Field(default="127.0.0.1", description="Where to listen; 0.0.0.0 lets other machines in.")
    port: int = Field(default=_PORT, ge=0, le=65535, description="Where to listen; 0 is any that is free.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "ui", arguments)
    uri = options.tracking_uri or default_tracking_uri()
    if address := server_address(uri):
        console.print(f"runs are tracked by a server, which has the interface: {address}")
        return
    # Whoever ends this process ends MLflow's, too.
    signal.signal(signal.SIGTERM, _leave)
    try:
        with Interface(uri, options.host, options.port) as interface:
            console.print(f"MLflow's interface on {interface.store} is at {interface.address}")
            console.print("Ctrl-C ends it.")
            interface.wait()
    except KeyboardInterrupt:
        console.print("ended.")


def _leave(number: int, frame: Any) -> None:
    del number, frame
    sys.exit(0)
