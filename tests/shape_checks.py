"""Checks the shapes in annotations while tests run, of the first calls in each test.

The checks of all calls take as long as the work of many a test: of those with loops, whose thousandth pass has the
shapes of the first.
"""

import functools
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import beartype

CALLS = 2_000
"""Checks in a test: two for each call, of its arguments and of what it returns."""

_left = CALLS


def begin_test() -> None:
    """Has the next calls checked again."""
    global _left
    _left = CALLS
    jaxtyping.config.update("jaxtyping_disable", False)


def of_first_calls(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `beartype` makes of a function; for jaxtyping, which calls it for every check."""
    checked: Callable[..., Any] = beartype(function)

    @functools.wraps(function)
    def check(*arguments: Any, **named: Any) -> Any:
        global _left
        _left -= 1
        if not _left:
            jaxtyping.config.update("jaxtyping_disable", True)
        return checked(*arguments, **named)

    return check
