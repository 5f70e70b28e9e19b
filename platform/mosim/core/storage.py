"""Folders of files on any `pyarrow.fs` path, local or not: a file is whole or absent."""

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.files import plain_name, require_writable


@dataclass(frozen=True)
class Folder:
    """A folder on a local or a remote file system; `uri` opens it again, in any working folder.

    Names of files are relative paths inside it; `DamagedFileError` is raised for others, since it is files of the
    folder that give them.
    """

    uri: str
    filesystem: fs.FileSystem
    path: str

    @classmethod
    def at(cls, location: str | Path) -> "Folder":
        """Opens a folder, which need not exist, by its local path or its URI, such as `s3://bucket/data`.

        Raises:
          MosimError: there is no file system for such a URI.
        """
        if "://" not in str(location):
            path = str(Path(location).absolute())
            return cls(path, fs.LocalFileSystem(), path)
        try:
            filesystem, path = fs.FileSystem.from_uri(str(location))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise MosimError(f"{location} cannot be opened: {error}") from None
        return cls(str(location), filesystem, path)

    def where(self, name: str) -> str:
        """A file's place in words."""
        return f"{self.uri.rstrip('/')}/{name}"

    def holds(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self.filesystem.get_file_info(self._path(name)).type == fs.FileType.File

    def size(self, name: str) -> int:
        """A file's bytes; 0 where there is no such file."""
        return self.filesystem.get_file_info(self._path(name)).size or 0

    def names(self) -> list[str]:
        """The files that lie in it, in order; none where it does not exist."""
        listed = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in listed if info.type == fs.FileType.File)

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
          DamagedFileError: there is no such file, or it cannot be read.
        """
        try:
            with self.filesystem.open_input_file(self._path(name)) as file:
                return file.read()
        except FileNotFoundError:
            raise DamagedFileError(f"{self.where(name)} is missing.") from None
        except OSError as error:
            raise DamagedFileError(f"{self.where(name)} cannot be read: {error}") from None

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Writes a file, whole or not at all.

        Raises:
          MosimError: the file system refuses, or what has this name is no regular file.
        """
        path = self._path(name)
        if isinstance(self.filesystem, fs.LocalFileSystem):
            require_writable(Path(path))
        folder, _, base = path.rpartition("/")
        aside = f"{folder}/.{base}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        try:
            self.filesystem.create_dir(folder, recursive=True)
            with self.filesystem.open_output_stream(aside) as file:
                file.write(content)
            self.filesystem.move(aside, path)
        except OSError as error:
            with contextlib.suppress(OSError):  # It may not even have been begun.
                self.filesystem.delete_file(aside)
            raise MosimError(f"{self.where(name)} cannot be written: {error}") from None

    def _path(self, name: str) -> str:
        return f"{self.path}/{plain_name(name, self.uri)}"
