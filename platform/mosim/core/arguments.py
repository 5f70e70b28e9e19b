"""Arguments from Python, checked as flags are: an unknown name or a value that is not allowed is one sentence."""

import functools
import inspect
import operator
import os
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar, get_args

import torch
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, validate_call
from pydantic_core import ErrorDetails

from mosim.core.errors import MosimError

LARGEST_SEED = 2**32 - 1
"""What NumPy's generators take as one word."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_SHOULD_BE = "Input should be "
_OF_A_VALIDATOR = "Value error, "


def _whole_number(value: Any) -> int:
    if isinstance(value, bool | float):
        raise ValueError("it must be a whole number")
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError("it must be a whole number") from None


def _path(value: Any) -> str | Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError("it must be a path")
    return value if isinstance(value, str) else Path(value)


def _device(value: Any) -> str:
    try:
        torch.zeros(1, device=torch.device(value)).item()
    except (RuntimeError, AssertionError, TypeError):
        here = ["cpu", "cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        known = ", ".join(here if torch.cuda.is_available() else here[:1])
        raise ValueError(f"it must be a torch device that is available here: {known}") from None
    return str(value)


Count = Annotated[int, BeforeValidator(_whole_number), Field(ge=1)]
"""A whole number, 1 or more."""

Index = Annotated[int, BeforeValidator(_whole_number), Field(ge=0)]
"""A whole number, 0 or more."""

Seed = Annotated[int, BeforeValidator(_whole_number), Field(ge=0, le=LARGEST_SEED)]
"""A whole number from 0 to `LARGEST_SEED`."""

Location = Annotated[str | Path, BeforeValidator(_path)]
"""A path, or a URI."""

Device = Annotated[str, BeforeValidator(_device)]
"""A device that torch can compute on here, such as `cpu` or `cuda:1`."""


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Has a function's arguments checked by their annotations at each call.

    Further arguments by name (`**options`) are those of a typed dictionary that forbids others.

    Raises:
      MosimError: the decorated function does, at an argument that is unknown, missing or not allowed; names the
        function, the argument, and what is allowed.
    """
    names = [*inspect.signature(function).parameters]
    validated = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)

    @functools.wraps(function)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return validated(*arguments, **named)
        except ValidationError as error:
            if error.title not in (function.__name__, function.__qualname__):  # Of something else, within the call.
                raise
            raise MosimError(_sentence(error.errors()[0], function, names)) from None

    return call


def _sentence(mistake: ErrorDetails, function: Callable[..., Any], names: list[str]) -> str:
    where = function.__qualname__.removesuffix(".__init__")
    first, kind = mistake["loc"][0], mistake["type"]
    argument = names[first] if isinstance(first, int) and first < len(names) else str(first)
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: unknown argument {argument!r}; allowed are: {', '.join(_allowed(function))}."
    if kind.startswith("missing"):
        return f"{where}: {argument} is missing."
    if kind == "unexpected_positional_argument":
        return f"{where}: too many positional arguments; allowed are: {', '.join(_allowed(function))}."
    reason = mistake["msg"].removeprefix(_OF_A_VALIDATOR)
    if reason.startswith(_SHOULD_BE):
        reason = f"it must be {reason.removeprefix(_SHOULD_BE)}"
    return f"{where}: {argument} is {reprlib.repr(mistake['input'])}; {reason}."


def _allowed(function: Callable[..., Any]) -> list[str]:
    names = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            names += [option for kind in get_args(parameter.annotation) for option in inspect.get_annotations(kind)]
        elif name != "self":
            names.append(name)
    return sorted(names)
