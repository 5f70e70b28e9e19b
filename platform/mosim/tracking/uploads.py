"""Files that a journal names: all lie in its own folder, so that whoever received it sends no other file of theirs."""

import hashlib
import shutil
from pathlib import Path

from mosim.core.errors import DamagedFileError
from mosim.core.files import atomic_folder, atomic_path, inside

_COPIES = "tracking/files"
"""Of the output folder: what was logged and lay elsewhere."""

_PLACE_LENGTH = 8


def path_to_keep(folder: Path, path: Path) -> str:
    """A path as the journal of an output folder keeps it; what lies elsewhere is copied into the folder first.

    Logged again from the same place, the copy is replaced.
    """
    path, folder = path.resolve(), folder.resolve()
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    place = hashlib.sha256(str(path).encode()).hexdigest()[:_PLACE_LENGTH]
    copy = folder / _COPIES / place / path.name
    if path.is_dir():
        shutil.rmtree(copy, ignore_errors=True)
        with atomic_folder(copy) as aside:
            shutil.copytree(path, aside, dirs_exist_ok=True)
    else:
        with atomic_path(copy) as aside:
            shutil.copyfile(path, aside)
    return copy.relative_to(folder).as_posix()


def path_to_send(folder: Path, name: str) -> Path:
    """The file or folder that a journal names.

    Raises:
      DamagedFileError: it is not inside `folder`, or a link below it leads out, or it is neither file nor folder.
    """
    path = inside(folder, name)
    for each in (path, *path.rglob("*")):
        if not each.resolve().is_relative_to(folder.resolve()):
            raise DamagedFileError(f"{each} is a link that leads outside {folder}.")
        if each.exists() and not (each.is_file() or each.is_dir()):
            raise DamagedFileError(f"{each} is neither a file nor a folder.")
    return path
