"""Sends, after the work, what a tracking server missed."""

from pathlib import Path

from mosim.core.errors import MosimError
from mosim.core.locks import FolderLock
from mosim.tracking.destination import absolute_uri, default_tracking_uri, sync_command, without_password
from mosim.tracking.journal import journal_path, tracking_folder
from mosim.tracking.limits import reason
from mosim.tracking.replay import Replay, kept_destination


def sync(folder: Path, tracking_uri: str | None = None) -> int:
    """Sends what is left of an output folder's journal.

    Args:
      folder: the output folder.
      tracking_uri: where to; None for `default_tracking_uri()`, if that is where its runs were sent. A server that has
        nothing of them gets all of them.

    Returns:
      How many events were sent.

    Raises:
      MosimError: nothing was tracked there, a process still tracks it, its runs were sent elsewhere than
        `default_tracking_uri()` and no URI is given, or the server cannot be reached.
      DamagedFileError: the file that says where to send cannot be read.
    """
    folder = folder.absolute()
    if not journal_path(folder).is_file():
        raise MosimError(f"there is nothing to send in {folder}: no run was tracked there ({journal_path(folder)}).")
    lock = FolderLock(tracking_folder(folder), used=folder)
    try:
        destination = kept_destination(folder)
        uri = absolute_uri(tracking_uri) if tracking_uri else _usual(folder, destination.tracking_uri)
        replay = Replay(folder, uri, destination.experiment)
        sent = 0
        try:
            while done := replay.step():
                sent += done
        except Exception as error:
            raise MosimError(
                f"the tracking server {without_password(uri)} does not accept events ({reason(error)}); {sent} events "
                f"were sent, {replay.unsent()} are kept in {folder}."
            ) from error
        return sent
    finally:
        lock.release()


def _usual(folder: Path, kept: str) -> str:
    """Where the user sends everything, with the password that the folder does not keep, if the folder says the same.

    A folder may come from somebody else, and must not say by itself which server is told of it.
    """
    uri = default_tracking_uri()
    if without_password(uri) != kept:
        raise MosimError(
            f"the runs in {folder} belong to the store {kept}, which is not your default store (MLFLOW_TRACKING_URI, "
            f"or ./mlflow.db). If you trust it, send them with: {sync_command(folder, kept)}"
        )
    return uri
