"""Locks that keep two processes from writing to one output folder."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mosim.core.console import warn
from mosim.core.errors import MosimError
from mosim.core.files import require_writable

LOCK_FILE = ".lock"

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
"""What file systems answer that have no locks, such as some of those that clusters share."""


class FolderLock:
    """Keeps a second process from writing to the same folder, until released or the process ends."""

    def __init__(self, folder: Path, used: Path | None = None) -> None:
        """Takes the lock, a file in the folder that holds its holder's process id; makes the folder.

        Args:
          folder: where the lock lies.
          used: what the sentence names as in use; the folder itself by default.

        Raises:
          MosimError: another process, or another lock of this one, has it, or the lock is no regular file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = require_writable(folder / LOCK_FILE).open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise MosimError(
                f"{used or folder} is in use by another mosim process (pid {holder}); wait until it ends, or choose "
                "another output folder."
            ) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            warn(f"the file system of {used or folder} does not support locks; run only one command at a time there.")
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Lets the next one in, and leaves the file as it was found: empty. Releasing twice is harmless."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()


@contextmanager
def locked(location: str | Path) -> Iterator[None]:
    """Holds a folder's lock while the block runs; a URI's, such as `s3://bucket/data`, has none.

    Raises:
      MosimError: another process has it.
    """
    if "://" in str(location):
        yield
        return
    lock = FolderLock(Path(location))
    try:
        yield
    finally:
        lock.release()
