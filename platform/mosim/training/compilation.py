"""torch.compile where it works, and training without it where it does not."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

from mosim.core.console import warn

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Compiled(Generic[Arguments, Result]):
    """A function compiled at its first call; or, with a warning, the function itself where that fails.

    It fails where there is no C++ compiler, among other reasons.
    """

    def __init__(self, function: Callable[Arguments, Result]) -> None:
        self._function = function
        self._compiled: Callable[Arguments, Result] | None = torch.compile(function, dynamic=False)

    def __call__(self, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """Calls the function."""
        if self._compiled is not None:
            try:
                return self._compiled(*arguments, **named)
            except (RuntimeError, OSError) as error:  # Whatever is wrong with the call itself shows again below.
                self._compiled = None
                reason = str(error).strip().splitlines()[0]
                warn(f"torch.compile does not work here, so training continues without it: {reason}")
        return self._function(*arguments, **named)
