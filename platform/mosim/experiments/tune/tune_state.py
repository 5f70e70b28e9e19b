"""Tune's own state in a sweep's storage, a copy of it that is whole, and all reports.

Tune writes over its files in place. A full disk cuts them short, and from such files Tune would begin the sweep anew.
"""

import contextlib
import io
import json
import math
import time
import zipfile
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import JsonLoggerCallback

from mosim.core.errors import MosimError
from mosim.core.storage import Folder
from mosim.experiments.sweep import TUNE_FOLDER, trial_folder

COPY_FILE = "state.zip"
"""Of a sweep's storage. One file, since those in it belong together."""

_REPORTS = "result.json"
"""Of a trial's folder: a report a line."""

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


class ReportLogger(JsonLoggerCallback):
    """Writes down what trials report, a line each, with their settings."""

    def update_config(self, trial: Trial, config: dict[str, Any]) -> None:
        """Writes no files of the settings alone: all files of all trials are copied with every snapshot."""

    def _restore_from_remote(self, file_name: str, trial: Trial) -> None:
        # Only where a sweep goes on: when a trial starts again, what lies here is newer than what is stored.
        if not Path(str(trial.local_path), file_name).exists():
            super()._restore_from_remote(file_name, trial)


def written_reports(storage: str, trial: str) -> list[dict[str, Any]]:
    """All that a trial has reported, as far as it has come to the storage, with what Tune adds."""
    folder = Folder.at(f"{storage}/{TUNE_FOLDER}/{trial_folder(trial)}")
    lines = folder.read(_REPORTS).decode().splitlines() if folder.holds(_REPORTS) else []
    reports = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):  # A full disk has cut it short.
            reports.append(json.loads(line))
    return reports


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
