"""Accelerations under constraints by compiled C (constraint_forces.c), on a CPU and in single precision.

The same as torch's operations in `Constraints`, with the same gradients, in a fraction of the time.
"""

import ctypes
import functools
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mosim.dynamics.rows import Rows, ordered_by_sample

_EXTENSION = "mosim.dynamics._constraint_forces"
"""The shared library that is built when mosim is installed, where there is a C compiler."""

_LANES = 16
"""States that are worked on at a time."""

_WORTH_A_THREAD = 128
"""States, at least, of a thread."""

_POINTERS = ("lower", "force", "damping", "order", "start", "place", "jacobian", "target", "stiffness", "pushing")


class _Problem(ctypes.Structure):
    """`Problem` of constraint_forces.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("states", "size", "most", "searches")),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    )


def takes(lower: Tensor) -> bool:
    """Whether the compiled code is there, and is for such tensors. Where it could not be built, this warns once."""
    return lower.is_cpu and lower.dtype == torch.float32 and _library() is not None


def accelerations(lower: Tensor, force: Tensor, rows: list[Rows], damping: Tensor | None, searches: int) -> Tensor:
    """What constraints leave of the smooth accelerations `L L^T f`, `(states, n)`, by `constraint_forces.c`.

    Differentiable once, for the set of rows that push.

    Args:
      lower: `L`, `(states, n, n)`, lower triangular but for the first three columns.
      force: `f`, `(states, n)`.
      rows: of the constraint's Jacobian, in any order.
      damping: `C`, `(n,)`, not negative: `w` becomes `(1 + L^T C L)^-1 w` before `a = L w`. None where there is none.
      searches: steps of the search for the rows that push, at most.
    """
    sample, jacobian, target, stiffness = (
        torch.cat([field.flatten(0, 1) for field in fields])
        for fields in zip(*((part.sample.unsqueeze(1).expand_as(part.target), *part[1:]) for part in rows), strict=True)
    )
    order, start, place, most = ordered_by_sample(sample, len(force))
    return _Accelerations.apply(lower, force, damping, order, start, place, jacobian, target, stiffness, most, searches)


class _Accelerations(torch.autograd.Function):
    """The compiled functions as one of torch's."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        *tensors, most, searches = given
        tensors: list[Any] = [part if part is None else part.detach().contiguous() for part in tensors]
        force, target = tensors[_POINTERS.index("force")], tensors[_POINTERS.index("target")]
        tensors.append(torch.empty_like(target))  # Which rows push.
        problem, result = _problem(tensors, most, searches), torch.empty_like(force)
        _in_threads(len(force), problem, "accelerations", lambda part: (result,))
        ctx.save_for_backward(*tensors)
        ctx.most, ctx.searches = most, searches
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        tensors = ctx.saved_tensors
        lower, force, damping, _, _, _, *rows, _ = tensors
        problem, gradient = _problem(tensors, ctx.most, ctx.searches), gradient.contiguous()
        of_lower, of_force, *of_rows = (torch.empty_like(part) for part in (lower, force, *rows))
        of_damping = [None if damping is None else torch.zeros_like(damping) for _ in _parts(len(force))]

        def told(part: int) -> tuple[Tensor | None, ...]:
            return (gradient, of_lower, of_force, *of_rows, of_damping[part])

        _in_threads(len(force), problem, "gradients", told)
        total = None if damping is None else sum(part for part in of_damping if part is not None)
        return of_lower, of_force, total, None, None, None, *of_rows, None, None


def _problem(tensors: Any, most: int, searches: int) -> _Problem:
    force = tensors[_POINTERS.index("force")]
    return _Problem(len(force), force.shape[-1], most, searches, *map(_address, tensors))


def _in_threads(
    states: int, problem: _Problem, function: str, told: Callable[[int], tuple[Tensor | None, ...]]
) -> None:
    """Calls a compiled function for parts of the states, each in a thread of its own, as many as torch may take."""
    library: Any = _library()
    room = library.room_for(ctypes.byref(problem))

    def call(part: int, first: int, last: int) -> None:
        space = torch.empty(room, dtype=torch.uint8)
        addresses = [ctypes.c_void_p(_address(tensor)) for tensor in (space, *told(part))]
        getattr(library, function)(ctypes.byref(problem), ctypes.c_int64(first), ctypes.c_int64(last), *addresses)

    parts = list(_parts(states))
    if len(parts) == 1:
        call(*parts[0])
    else:
        list(_threads(len(parts)).map(call, *zip(*parts, strict=True)))


def _parts(states: int) -> Iterator[tuple[int, int, int]]:
    """Number, first and last of the states of each thread."""
    threads = max(min(torch.get_num_threads(), states // _WORTH_A_THREAD), 1)
    share = -(-states // (threads * _LANES)) * _LANES
    for part, first in enumerate(range(0, max(states, 1), max(share, 1))):
        yield part, first, min(first + share, states)


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="constraint-forces")


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


@functools.cache
def _library() -> ctypes.CDLL | None:
    spec = importlib.util.find_spec(_EXTENSION)
    if spec is None or spec.origin is None:
        warnings.warn(
            "mosim's compiled constraint forces were not built, so simulators with contacts and limits take up to "
            "twice as long; with a C compiler at hand, install mosim anew.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    library = ctypes.CDLL(spec.origin)
    library.room_for.restype = ctypes.c_int64
    return library
