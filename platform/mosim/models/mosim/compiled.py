"""Compiled C by ctypes: shared libraries that are built when mosim is installed, and their calls in threads."""

import ctypes
import functools
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

_WORTH_A_THREAD = 128
"""States, at least, of a thread."""


@functools.cache
def library(extension: str) -> ctypes.CDLL | None:
    """The shared library of an extension module's name; None, with a warning, where it could not be built."""
    spec = importlib.util.find_spec(extension)
    if spec is None or spec.origin is None:
        warnings.warn(
            f"mosim's compiled extension {extension} was not built, so simulators take up to three times as long; "
            "install a C compiler, then reinstall mosim.",
            RuntimeWarning,
            stacklevel=3,
        )
        return None
    loaded = ctypes.CDLL(spec.origin)
    loaded.room_for.restype = ctypes.c_int64
    return loaded


def run(
    extension: str,
    function: str,
    problem: ctypes.Structure,
    states: int,
    lanes: int,
    told: Callable[[int], Sequence[Tensor | None]],
) -> None:
    """Calls a compiled function for parts of the states, each in a thread of its own, as many as torch may take.

    It is given the problem, the first and the last of the states, room to work in, and the tensors of that part.

    Args:
      extension: its module's name; its library must be there.
      function: its name.
      problem: what all parts share; whose tensors the caller keeps.
      states: how many.
      lanes: a part has a multiple of so many, but for the last.
      told: the tensors of each part, by its number.
    """
    compiled: Any = library(extension)
    room = compiled.room_for(ctypes.byref(problem))
    call = functools.partial(_call, getattr(compiled, function), problem, room, told)
    shares = list(parts(states, lanes))
    if len(shares) == 1:
        call(*shares[0])
    else:
        list(_threads(len(shares)).map(call, *zip(*shares, strict=True)))


def _call(
    function: Any,
    problem: ctypes.Structure,
    room: int,
    told: Callable[[int], Sequence[Tensor | None]],
    part: int,
    first: int,
    last: int,
) -> None:
    space = torch.empty(room, dtype=torch.uint8)
    addresses = [ctypes.c_void_p(address(tensor)) for tensor in (space, *told(part))]
    # ctypes lets go of Python's lock while C works.
    function(ctypes.byref(problem), ctypes.c_int64(first), ctypes.c_int64(last), *addresses)


def parts(states: int, lanes: int) -> Iterator[tuple[int, int, int]]:
    """Number, first and last of the states of each thread."""
    threads = max(min(torch.get_num_threads(), states // _WORTH_A_THREAD), 1)
    share = -(-states // (threads * lanes)) * lanes
    for part, first in enumerate(range(0, max(states, 1), max(share, 1))):
        yield part, first, min(first + share, states)


def address(tensor: Tensor | None) -> int | None:
    """Of a tensor's numbers, which must be contiguous."""
    return None if tensor is None else tensor.data_ptr()


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="mosim-compiled")
