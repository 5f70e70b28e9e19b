"""MJCF files that mosim writes: a system's own model with some of its numbers changed."""

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco

from mosim.core.errors import MosimError
from mosim.core.files import atomic_path, require_writable
from mosim.robots.system import System, mjcf_system

WRITTEN_BY = "written by mosim"
"""The beginning of the comment in every MJCF file that mosim writes: such a file alone is replaced."""

_DIGITS = 17
"""Of numbers in XML, by which they are read back exactly; MuJoCo's own six move a robot's joints."""

_COMMENT_WITHIN = 4096
"""Bytes of a file in which its comment is looked for."""


def editable_model(system: System) -> mujoco.MjSpec:
    """A system's model to change and to write, with files of meshes and textures by their absolute paths.

    Its elements know their place in the compiled model as `id`.

    Raises:
      MosimError: the model cannot be loaded anew from an MJCF of its own, such as one whose meshes are not files.
    """
    # MuJoCo saves the model that it compiled last.
    again = system.reload()
    with tempfile.TemporaryDirectory() as folder, _precise():
        file = str(Path(folder) / "model.xml")
        mujoco.mj_saveLastXML(file, again.model)
        try:
            spec = mujoco.MjSpec.from_file(file)
            if system.path is not None:
                home = system.path.parent
                spec.meshdir, spec.texturedir = (str(home / part) for part in (spec.meshdir, spec.texturedir))
            spec.compile()
        except ValueError as error:
            raise MosimError(f"the model of {system.source} cannot be written as one file: {_line(error)}.") from None
    return spec


def require_replaceable(path: Path) -> Path:
    """`path`, where an MJCF file can be written: nothing lies there, or a file that mosim wrote.

    Raises:
      MosimError: its name is none of an MJCF file, or something else lies there.
    """
    if path.suffix not in (".xml", ".mjcf"):
        raise MosimError(f"{path} is not a valid name for an MJCF file; give one that ends in .xml or .mjcf.")
    require_writable(path)
    if path.is_file():
        with path.open("rb") as file:
            if WRITTEN_BY.encode() not in file.read(_COMMENT_WITHIN):
                raise MosimError(f"{path} was not written by mosim and is not replaced; give another name.")
    return path


def write_mjcf(spec: mujoco.MjSpec, system: System, path: Path, comment: str) -> System:
    """Writes a changed model of a system, whole or not at all, and returns the system that the file is.

    Args:
      spec: from `editable_model`, changed.
      system: what the model was.
      path: the file.
      comment: what it says of itself, after `WRITTEN_BY`.

    Raises:
      MosimError: as `require_replaceable`; or MuJoCo does not load the file from where it lies, or it moves other
        joints in other places than the system did.
    """
    require_replaceable(path)
    spec.comment = f"{WRITTEN_BY} {comment}"
    with atomic_path(path) as aside:
        try:
            with _precise():
                text = spec.to_xml()
        except ValueError as error:
            raise MosimError(f"{path} is not written, since the model does not compile: {_line(error)}.") from None
        aside.write_text(text, encoding="utf-8")
        try:
            written = mjcf_system(aside)
        except MosimError as error:
            raise MosimError(f"{path} is not written, since MuJoCo cannot load it: {_line(error)}") from None
        ours, theirs = written.facts, system.facts
        odd = [each for each in ours.differences(theirs) if "constants" not in each]
        if odd or not ours.skeleton.is_alike(theirs.skeleton):
            raise MosimError(
                f"{path} is not written, since MuJoCo's copy of {system.source} has a different geometry from the "
                "original."
            )
    return mjcf_system(path)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _precise() -> Iterator[None]:
    """Has MuJoCo write numbers with all their digits, where its library has a name for that."""
    library = next(Path(mujoco.__file__).parent.glob("libmujoco*"), None)
    handle = None if library is None else ctypes.CDLL(str(library))
    if handle is None or not hasattr(handle, "_mjPRIVATE__set_xml_precision"):
        yield
        return
    before = handle._mjPRIVATE__get_xml_precision()
    handle._mjPRIVATE__set_xml_precision(_DIGITS)
    try:
        yield
    finally:
        handle._mjPRIVATE__set_xml_precision(before)
