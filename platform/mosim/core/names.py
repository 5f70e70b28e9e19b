"""Names of which no two are the same."""

from collections.abc import Set
from itertools import chain, count


def free_name(wanted: str, taken: Set[str]) -> str:
    """The name itself, or, where it is taken, the first that is free of `name (2)`, `name (3)` and so on."""
    names = chain([wanted], (f"{wanted} ({number})" for number in count(2)))
    return next(name for name in names if name not in taken)
