"""Functions and classes that a user names as `module:Name`."""

import importlib
import sys
from pathlib import Path
from typing import Any, TypeVar

from mosim.core.errors import MosimError

Class = TypeVar("Class")


def load_name(name: str, what: str) -> Any:
    """Imports what `module:Name` names; modules of the working folder count too.

    Args:
      name: given by the user; never taken from a file that may be somebody else's.
      what: it is to be, such as "a policy: a function".

    Raises:
      MosimError: the name is not of that form, the module does not import, or has nothing of that name.
    """
    module_name, separator, bare = name.partition(":")
    if not (module_name and separator and bare):
        raise MosimError(f"{name!r} is not of the form module:Name.")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise MosimError(f"{name!r}: module {module_name!r} cannot be imported ({error}).") from None
    found = getattr(module, bare, None)
    if found is None:
        raise MosimError(f"{name!r}: module {module_name!r} has no {bare!r}; it must be {what}.")
    return found


def load_class(name: str, base: type[Class], what: str) -> type[Class]:
    """Imports a class that `module:Class` names, as `load_name`.

    Raises:
      MosimError: as `load_name`, or it is no subclass of `base`, or an abstract one; names what it lacks.
    """
    found = load_name(name, what)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise MosimError(f"{name!r} must be {what}.")
    if lacking := sorted(getattr(found, "__abstractmethods__", ())):
        raise MosimError(f"{name!r} does not define {', '.join(lacking)}.")
    return found
