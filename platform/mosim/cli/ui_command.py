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
    """Open the MLflow UI for the store in which runs are tracked, until Ctrl-C.

    To compare runs there, select them and choose Compare. Horizon errors are charts whose step is the horizon
    (horizon_mse/mosim). Returns and losses are charts over training steps. The tags system, task, model.structure,
    model.knowledge, stage and dataset.id are columns to filter and group by.

    If runs are tracked by a server, it has a UI of its own. The command then prints its address and starts nothing.

      mosim ui
      mosim ui --tracking-uri sqlite:///elsewhere/mlflow.db --port 5001
    """

    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None, description="MLflow tracking URI. If omitted: MLFLOW_TRACKING_URI, or ./mlflow.db."
    )
    host: str = Field(
        default="127.0.0.1", description="Host address to listen on; 0.0.0.0 accepts connections from other machines."
    )
    port: int = Field(default=_PORT, ge=0, le=65535, description="Port to listen on; 0 selects a free one.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "ui", arguments)
    uri = options.tracking_uri or default_tracking_uri()
    if address := server_address(uri):
        console.print(f"runs are tracked by a server; its UI is at {address}")
        return
    # Whoever ends this process ends MLflow's, too.
    signal.signal(signal.SIGTERM, _leave)
    try:
        with Interface(uri, options.host, options.port) as interface:
            console.print(f"the MLflow UI for {interface.store} is at {interface.address}")
            console.print("Press Ctrl-C to stop it.")
            interface.wait()
    except KeyboardInterrupt:
        console.print("stopped.")


def _leave(number: int, frame: Any) -> None:
    del number, frame
    sys.exit(0)
