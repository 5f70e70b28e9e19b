"""Every system by name: a task's, or that of a file."""

from pathlib import Path

from mosim.core.errors import MosimError
from mosim.robots import System, is_file, mjcf_system
from mosim.tasks.task import load_task


def load_system(source: str) -> System:
    """Loads what `source` names: a task as `domain-task`, or an MJCF file by its path (`.xml` or `.mjcf`).

    Raises:
      MosimError: there is no such file, or it does not compile.
      UnknownNameError: there is no such task; lists near names.
      UnsupportedSystemError: its state is more than `[qpos, qvel, act]`.
    """
    if is_file(source):
        return mjcf_system(Path(source))
    if "/" in source:
        raise MosimError(f"{source!r} is neither a task such as reacher-easy nor the path of an .xml or .mjcf file.")
    return load_task(source)


def find_system(given: str | None, recorded: str, option: str, what: str) -> System:
    """Loads the system of something that was made before, whose model may have moved since.

    Args:
      given: what the user says it is; None for nothing.
      recorded: what it was loaded from when `what` was made.
      option: by which the user says it.
      what: was made of it, such as "the simulator in runs/arm".

    Raises:
      MosimError: as `load_system`; where the file is no longer where it was, names the option.
    """
    if given is None and is_file(recorded) and not Path(recorded).is_file():
        raise MosimError(
            f"{what} is of the model {recorded}, which is not there any more; say where it is now: {option} PATH."
        )
    return load_system(recorded if given is None else given)
