"""Every system and every task by name, by family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mosim.core.errors import MosimError, UnknownNameError
from mosim.core.named_classes import load_class
from mosim.robots import System, is_file, mjcf_system, robot_names, robot_system
from mosim.tasks.suite_task import load_suite_task, suite_task_names
from mosim.tasks.task import Task


class TaskFamily(NamedTuple):
    """Tasks that are loaded in one way.

    Attributes:
      names: of its tasks, as commands take them.
      load: makes the task of a name.
    """

    names: Callable[[], tuple[str, ...]]
    load: Callable[[str], Task]


FAMILIES: dict[str, TaskFamily] = {"suite": TaskFamily(suite_task_names, load_suite_task)}
"""The families by their tags; another package adds its own here."""


def task_names(family: str | None = None) -> tuple[str, ...]:
    """The names of all tasks, or of those of a family, also where their systems are not supported."""
    families = FAMILIES.values() if family is None else [FAMILIES[family]]
    return tuple(name for each in families for name in each.names())


def load_task(name: str, *, allow_imports: bool = False) -> Task:
    """Loads a task.

    Args:
      name: of `task_names`, or `module:Class`, a class that is made without arguments.
      allow_imports: whether a module may be imported; true where the user names the task, false where a file does.

    Raises:
      UnknownNameError: there is no such task; lists near names.
      UnsupportedSystemError: its state is more than `[qpos, qvel, act]`, or MuJoCo cannot load it without a screen.
      MosimError: the class cannot be imported, must not be, or is no task.
    """
    if is_class(name):
        if not allow_imports:
            raise MosimError(
                f"the task {name!r} is a class, whose module would run; name it on the command line, or add "
                "--allow-imports if you trust the file that names it."
            )
        own: Any = load_class(name, Task, "a task: a subclass of mosim.tasks.Task")
        return own()  # Made without arguments, unlike those of mosim.
    for family in FAMILIES.values():
        if name in family.names():
            return family.load(name)
    if name in robot_names():
        raise MosimError(
            f"{name} is a robot without a task; collect, train, evaluate, identify and show take it, and a class of "
            "your own can be a task of it, see mosim.tasks.TensorTask."
        )
    raise UnknownNameError.among("task", name, (*task_names(), *robot_names()))


def load_system(source: str, *, allow_imports: bool = False) -> System:
    """Loads what `source` names: a task, a robot of `robot_names`, or an MJCF file by its path (`.xml` or `.mjcf`).

    Args:
      source: a path, or a name as `load_task` takes it.
      allow_imports: see `load_task`.

    Raises:
      MosimError: there is no such file, or it does not compile; or as `load_task`.
    """
    if is_file(source):
        return mjcf_system(Path(source))
    if source in robot_names():
        return robot_system(source)
    if "/" in source:
        raise MosimError(f"{source!r} is neither a task such as reacher-easy nor the path of an .xml or .mjcf file.")
    return load_task(source, allow_imports=allow_imports)


def find_system(given: str | None, recorded: str, option: str, what: str) -> System:
    """Loads the system of something that was made before, whose model may have moved since.

    Args:
      given: what the user says it is; None for nothing.
      recorded: what it was loaded from when `what` was made.
      option: by which the user says it.
      what: was made of it, such as "the simulator in runs/arm".

    Raises:
      MosimError: as `load_system`; where the file is no longer where it was, or a class is recorded, names the option.
    """
    if given is None and is_file(recorded) and not Path(recorded).is_file():
        raise MosimError(
            f"{what} is of the model {recorded}, which no longer exists; give its new path: {option} PATH."
        )
    if given is None and is_class(recorded):
        raise MosimError(f"{what} is of the class {recorded}, whose module would run; if you trust it, add {option}.")
    return load_system(recorded) if given is None else load_system(given, allow_imports=True)


def is_class(source: str) -> bool:
    """Whether a source is a class of a module, as `module:Class`."""
    return ":" in source and not is_file(source)
