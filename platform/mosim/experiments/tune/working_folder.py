"""Where a trial's process writes what is not stored yet."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import ray

_FOLDERS = "mosim-trials"
"""Of the files of a Ray on its node: a folder for each process that runs a trial."""


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """Yields an empty folder, and removes it afterwards; those of processes that were killed go here too."""
    context = ray.get_runtime_context()
    folders = Path(context.get_temp_dir(), context.get_session_name(), _FOLDERS)
    folder = folders / str(os.getpid())
    for other in folders.glob("*"):
        if other == folder or not _runs(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # Which asks, and ends nothing.
    except OSError as error:
        return isinstance(error, PermissionError)  # It is another user's.
    return True
