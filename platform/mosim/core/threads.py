"""Torch's threads: mosim's own calls compute on one, and leave the process's as they are.

The networks are small, so torch's operations are short. Shared by several threads they wait for one another at the end
of each, and where one core is busy with something else they wait for whole slices of the scheduler's time: on two cores
a batch of 128 envs then takes 3 to 50 times as long as on one thread. What several threads gain, less than twice on
idle cores, they gain for thousands of states or wide networks alone. So more than one is the caller's choice.
"""

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

from mosim.core.errors import MosimError

MOST_THREADS = 1024
"""More than any machine's cores; OpenMP ends the process where it cannot start as many as it is told to."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# `torch.set_num_threads` would do for this thread, but it also sets what every thread that has not used torch yet takes
# for its own, for as long as it lives. Searched are torch and all that it is linked to.
_torch_libraries = ctypes.PyDLL(torch._C.__file__)
_set_openmp: Callable[[int], object] = getattr(_torch_libraries, "omp_set_num_threads", torch.set_num_threads)
_set_mkl: Callable[[int], int] = getattr(_torch_libraries, "MKL_Set_Num_Threads_Local", lambda count: 0)


class _Scope(threading.local):
    """Of each thread of Python: whether its number of torch's threads is decided already."""

    decided = False


_scope = _Scope()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Has torch compute on `count` threads within the block, mosim's own calls too; `mosim.torch_threads` is this.

        with mosim.torch_threads(4):
            states = simulator.rollout(state, actions)

    It holds for the thread of Python that runs the block and for no other, and ends with the block.

    Args:
      count: 1 to `MOST_THREADS`.

    Raises:
      MosimError: `count` is not such a number.
    """
    if not isinstance(count, int) or not 1 <= count <= MOST_THREADS:
        raise MosimError(f"torch_threads takes a whole number from 1 to {MOST_THREADS}, not {count!r}.")
    decided, _scope.decided = _scope.decided, True
    before = torch.get_num_threads()  # Which has torch set this thread up, if it has not yet; later it would undo this.
    _set_openmp(count)
    before_mkl = _set_mkl(count)
    try:
        yield
    finally:
        _set_openmp(before)
        _set_mkl(before_mkl)
        _scope.decided = decided


def single_threaded(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Has torch compute on one thread in calls of `function`, unless they are made within `torch_threads`."""

    @functools.wraps(function)
    def limited(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        if torch.compiler.is_compiling() or _scope.decided:
            return function(*arguments, **named)
        with torch_threads(1):
            return function(*arguments, **named)

    return limited
