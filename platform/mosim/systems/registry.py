"""Every system and task by name."""

from pathlib import Path

import mujoco

from mosim.errors import MosimError, UnknownNameError, UnsupportedSystemError
from mosim.systems.suite import suite
from mosim.systems.system import System, mjcf_system
from mosim.systems.task import Task

_CONSTRUCTION_SEED = 0
"""Seed of tasks whose very model is drawn at random (lqr), so that one name is one system."""


def task_names() -> tuple[str, ...]:
    """Every task of the dm_control suite as `domain-task`, also those whose systems are not supported."""
    return tuple(f"{domain}-{task}" for domain, task in suite.ALL_TASKS)


def load_task(name: str) -> Task:
    """Loads a dm_control suite task by its `domain-task` name.

    Raises:
      UnknownNameError: there is no such task; lists near names.
      UnsupportedSystemError: its state is more than `[qpos, qvel]`, or MuJoCo cannot load it without a screen.
    """
    if name not in task_names():
        raise UnknownNameError.among("task", name, task_names())
    domain, task = name.split("-", maxsplit=1)
    try:
        return Task(name, suite.load(domain, task, task_kwargs={"random": _CONSTRUCTION_SEED}))
    except mujoco.FatalError as error:
        raise UnsupportedSystemError(f"task {name!r} cannot be loaded here: {error}.") from None


def is_file(source: str) -> bool:
    """Whether what `load_system` takes is the path of a file: where a model lies, and no part of what it is."""
    return source.endswith((".xml", ".mjcf"))


def load_system(source: str) -> System:
    """Loads what `source` names: a task as `domain-task`, or an MJCF file by its path (`.xml` or `.mjcf`).

    Raises:
      MosimError: there is no such file, or it does not compile.
      UnknownNameError: there is no such task; lists near names.
      UnsupportedSystemError: its state is more than `[qpos, qvel]`.
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
