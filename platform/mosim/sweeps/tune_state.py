"""Tune's own state in a sweep's storage, and a copy of it that is whole.

Tune writes over its files in place. A full disk cuts them short, and from such files Tune would begin the sweep anew.
"""

import contextlib
import io
import math
import time
import zipfile
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from mosim.errors import MosimError
from mosim.storage import Folder
from mosim.sweeps.reports import TUNE_FOLDER

COPY_FILE = "state.zip"
"""Of a sweep's storage. One file, since those in it belong together."""

_SUFFIXES = (".json", ".pkl")
"""Of the files that Tune resumes from."""

_ENDS = (b"}", b".")
"""What such a file ends with when it is whole: JSON's last character, or pickle's."""


class StateKeeper(Callback):
    """Copies what Tune has written down."""

    def __init__(self, storage: str, seconds: float) -> None:
        """`storage` is the sweep's, and `seconds` lie between two copies."""
        self._seconds = seconds
        self._storage = Folder.at(storage)
        self._copied = -math.inf

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """See `Callback`."""
        if not trials or trials[0].storage is None or time.monotonic() - self._copied < self._seconds:
            return
        self._copied = time.monotonic()
        staged = Folder.at(trials[0].storage.experiment_driver_staging_path)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in _state_files(staged):
                archive.writestr(name, staged.read(name))
        with contextlib.suppress(MosimError):  # Where there is no room, the copy before stands.
            self._storage.write(COPY_FILE, content.getvalue())


def mend_state(storage: str) -> None:
    """Puts the copy in place where anything was cut short; what has no copy goes, and the state before stands."""
    state, copy = Folder.at(f"{storage}/{TUNE_FOLDER}"), Folder.at(storage)
    if not _cut_short(state):
        return
    if copy.holds(COPY_FILE):
        with zipfile.ZipFile(io.BytesIO(copy.read(COPY_FILE))) as archive:
            for name in archive.namelist():
                state.write(name, archive.read(name))
    for name in _cut_short(state):
        state.filesystem.delete_file(f"{state.path}/{name}")


def _cut_short(folder: Folder) -> list[str]:
    return [name for name in _state_files(folder) if not folder.read(name).endswith(_ENDS)]


def _state_files(folder: Folder) -> list[str]:
    return [name for name in folder.names() if name.endswith(_SUFFIXES) and not name.startswith(".")]
