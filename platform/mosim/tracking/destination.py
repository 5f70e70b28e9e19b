"""Where runs are sent: MLflow's tracking URIs, made absolute, shown without passwords."""

import fcntl
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

OFF = "off"
"""The tracking URI that keeps and sends nothing."""

SQLITE = "sqlite:///"
"""How the URI of an embedded store begins."""

_ARTIFACTS = "mlartifacts"
_DATABASE = "mlflow.db"


def default_tracking_uri() -> str:
    """What MLFLOW_TRACKING_URI says, or else an embedded SQLite store in the working directory."""
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{_DATABASE}")


def absolute_uri(uri: str) -> str:
    """A tracking URI that means the same from any working directory."""
    if uri.startswith(SQLITE) and uri != f"{SQLITE}:memory:":
        return f"{SQLITE}{Path(uri.removeprefix(SQLITE)).absolute()}"
    if "://" not in uri and ":" not in uri and uri not in (OFF, "databricks"):
        return str(Path(uri).absolute())
    return uri


def without_password(uri: str) -> str:
    """A tracking URI fit to be shown and kept in a file."""
    password = urlsplit(uri).password
    return uri if password is None else uri.replace(f":{password}@", ":***@", 1)


def artifact_location(uri: str) -> str | None:
    """Where the artifacts of an embedded store go: beside its database. None for a server, which decides by itself."""
    if not uri.startswith(SQLITE):
        return None
    return (Path(uri.removeprefix(SQLITE)).parent / _ARTIFACTS).as_uri()


@contextmanager
def one_process_at_a_time(uri: str) -> Iterator[None]:
    """Makes the folder of an embedded store, and keeps others out of the block: two that make its tables both fail."""
    if not uri.startswith(SQLITE):
        yield
        return
    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sync_command(folder: Path, uri: str) -> str:
    """The command that sends what is left of an output folder's journal to `uri`, from the working directory."""
    return shlex.join(["mosim", "sync", str(folder), *_flag(uri)])


def ui_command(uri: str) -> str:
    """The command that shows the runs of a tracking URI, from the working directory."""
    if uri.startswith(("http://", "https://")):
        return f"open {without_password(uri)}"
    # Not on the path where mosim was started as .venv/bin/mosim.
    program = "mosim" if shutil.which("mosim") else os.path.relpath(Path(sys.executable).with_name("mosim"))
    return shlex.join([program, "ui", *_flag(uri)])


def _flag(uri: str) -> list[str]:
    """What commands need to be told of `uri`, where it is not the default."""
    return [] if uri == without_password(default_tracking_uri()) else ["--tracking-uri", without_password(uri)]
