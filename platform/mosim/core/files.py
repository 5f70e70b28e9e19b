"""Files that are whole or absent: written aside, then renamed; checksums; and names that stay in their folder."""

import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mosim.core.errors import DamagedFileError, MosimError

_BLOCK_BYTES = 1 << 20

_STEM_LENGTH = 32
"""Characters of a file's name that the name of the one beside it repeats, so that it is not too long."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def plain_name(name: str, folder: str | Path) -> str:
    """`name`, where it is a relative path that leads into its folder: without `..`, `.` and empty parts.

    Args:
      name: as a file of the folder gives it.
      folder: what that file belongs to; the message says so.

    Raises:
      DamagedFileError: it is another kind of path.
    """
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise DamagedFileError(f"{folder} is damaged: it names the file {name!r}, which is outside the folder.")
    return name


def inside(folder: Path, name: str) -> Path:
    """The path of a file that a file of `folder` names; it need not exist.

    Raises:
      DamagedFileError: it is not inside `folder`, or links lead out of it.
    """
    path = folder / plain_name(name, folder)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DamagedFileError(
            f"{folder} is damaged: it names the file {name!r}, whose path leads outside the folder through a link."
        )
    return path


def require_writable(path: Path) -> Path:
    """`path`, where a regular file lies or nothing does.

    A link is refused too: in a folder that somebody else made, it would name any file of the user's.

    Raises:
      MosimError: it is something else, or cannot be looked at.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return path
    except (OSError, ValueError) as error:
        raise MosimError(_unwritable(path, error)) from None
    if stat.S_ISREG(mode):
        return path
    kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
    target = f" to {os.readlink(path)}" if stat.S_ISLNK(mode) else ""
    raise MosimError(f"{path} cannot be written: it is {kind}{target}; give the path of a regular file or a new file.")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` if the block ends well, else removes it.

    Raises:
      MosimError: `path` is no regular file, or cannot be written.
    """
    require_writable(path)
    # The suffix stays last, since matplotlib and others read the format from it.
    aside = path.with_name(f".{path.stem[:_STEM_LENGTH]}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with _sentences(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _sentences(path, aside):
            yield aside
        with _sentences(path):
            os.replace(aside, path)
    finally:
        with suppress(OSError):
            aside.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with atomic_path(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
      MosimError: there is no such file.
      DamagedFileError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MosimError(f"{path} does not exist.") from None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: it is not JSON ({error}).") from None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`; renames it to `path`, which must not exist, if the block ends well.

    Raises:
      MosimError: it cannot be made.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with _sentences(path):
            aside.mkdir(parents=True)
        yield aside
        with _sentences(path):
            aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _sentences(path: Path, aside: Path | None = None) -> Iterator[None]:
    """Has an operating system's error say that `path` cannot be written; given `aside`, one that names it alone."""
    try:
        yield
    except OSError as error:
        # A full disk is left to commands, which know what goes on after there is room again.
        if error.errno == errno.ENOSPC or (aside is not None and str(error.filename) != str(aside)):
            raise
        raise MosimError(_unwritable(path, error)) from None


def _unwritable(path: Path, error: Exception) -> str:
    return f"{path} cannot be written: {getattr(error, 'strerror', None) or error}."
