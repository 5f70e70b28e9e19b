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


def load_system(source: str) -> System:
    """Loads what `source` names: a task as `domain-task`, or an MJCF file by its path (`.xml` or `.mjcf`).

    Raises:
      MosimError: there is no such file, or it does not compile.
      UnknownNameError: there is no such task; lists near names.
      UnsupportedSystemError: its state is more than `[qpos, qvel]`.
    """
    if source.endswith((".xml", ".mjcf")):
        return mjcf_system(Path(source))
    if "/" in source:
        raise MosimError(f"{source!r} is neither a task such as reacher-easy nor the path of an .xml or .mjcf file.")
    return load_task(source)
