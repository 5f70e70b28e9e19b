"""Accelerations under constraints by compiled C (constraint_forces.c), on a CPU and in single precision.

The same as torch's operations in `Constraints`, with the same gradients, in a fraction of the time.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mosim.models.mosim import compiled
from mosim.models.mosim.constraints.force_law import joined
from mosim.models.mosim.constraints.rows import Rows

_EXTENSION = "mosim.models.mosim._constraint_forces"
"""The shared library that is built when mosim is installed, where there is a C compiler."""

_LANES = 16
"""States that are worked on at a time."""

_POINTERS = (
    "lower", "force", "damping", "order", "start", "place", "jacobian", "target", "stiffness", "strength",
    "cone", "gap",
)  # fmt: skip


class _Problem(ctypes.Structure):
    """`Problem` of constraint_forces.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("states", "size", "most", "searches")),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    )


def takes(lower: Tensor) -> bool:
    """Whether the compiled code is there, and is for such tensors. Where it could not be built, this warns once."""
    return lower.is_cpu and lower.dtype == torch.float32 and compiled.library(_EXTENSION) is not None


def accelerations(lower: Tensor, force: Tensor, rows: list[Rows], damping: Tensor | None, searches: int) -> Tensor:
    """What constraints leave of the smooth accelerations `L L^T f`, `(states, n)`, by `constraint_forces.c`.

    Differentiable once, for the set of rows that act.

    Args:
      lower: `L`, `(states, n, n)`, lower triangular but for the first three columns.
      force: `f`, `(states, n)`.
      rows: of the constraint's Jacobian, in any order.
      damping: `C`, `(n,)`, not negative: `w` becomes `(1 + L^T C L)^-1 w` before `a = L w`. None where there is none.
      searches: steps of the search for the rows that act, at most.
    """
    jacobian, target = (
        _together([field.flatten(0, 1) for field in fields])
        for fields in zip(*((part.jacobian, part.target) for part in rows), strict=True)
    )
    law = joined([part.law for part in rows], lambda values: _together([part.flatten() for part in values]))
    sample = _together([part.sample.unsqueeze(1).expand_as(part.target).flatten() for part in rows])
    order, start, place, most = _ordered_by_sample(sample, len(force))
    given = (lower, force, damping, order, start, place, jacobian, target, *law)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given):
        return _Accelerations.apply(*given, most, searches)
    return _solved(given, most, searches)[0]


def _solved(given: Sequence[Tensor | None], most: int, searches: int) -> tuple[Tensor, list[Any]]:
    """The accelerations, and all that their gradients need."""
    tensors: list[Any] = [part if part is None else part.contiguous() for part in given]
    force, target = tensors[_POINTERS.index("force")], tensors[_POINTERS.index("target")]
    tensors.append(torch.empty_like(target))  # The gaps.
    problem, result = _problem(tensors, most, searches), torch.empty_like(force)
    compiled.run(_EXTENSION, "accelerations", problem, len(force), _LANES, lambda part: (result,))
    return result, tensors


def _together(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _ordered_by_sample(sample: Tensor, batch: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """Where the rows of each state are, and which states have about as many.

    Args:
      sample: the index in the batch of each row, `(n,)`.
      batch: how many states.

    Returns:
      States by how many rows they have, `(batch,)`; where each state's rows begin among rows by state, `(batch + 1,)`;
      these rows, `(n,)`; and how many the state has that has most.
    """
    library: Any = compiled.library(_EXTENSION)
    sample = sample.contiguous()  # Kept here until the call is over; that of a single contact is one number repeated.
    order, start, place = (sample.new_empty(size) for size in (batch, batch + 1, len(sample)))
    addresses = [ctypes.c_void_p(compiled.address(part)) for part in (sample, order, start, place)]
    return order, start, place, library.order_by_sample(ctypes.c_int64(len(sample)), ctypes.c_int64(batch), *addresses)


class _Accelerations(torch.autograd.Function):
    """The compiled functions as one of torch's."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        *parts, most, searches = given
        result, tensors = _solved([part if part is None else part.detach() for part in parts], most, searches)
        ctx.save_for_backward(*tensors)
        ctx.most, ctx.searches = most, searches
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        tensors = ctx.saved_tensors
        lower, force, damping, _, _, _, *rows, strength, cone, _ = tensors
        problem, gradient = _problem(tensors, ctx.most, ctx.searches), gradient.contiguous()
        of_lower, of_force, *of_rows = (torch.empty_like(part) for part in (lower, force, *rows))
        of_damping = [
            None if damping is None else torch.zeros_like(damping) for _ in compiled.parts(len(force), _LANES)
        ]
        of_strength, of_cone = (None if part is None else torch.empty_like(part) for part in (strength, cone))
        compiled.run(
            *(_EXTENSION, "gradients", problem, len(force), _LANES),
            lambda part: (gradient, of_lower, of_force, *of_rows, of_strength, of_cone, of_damping[part]),
        )
        total = None if damping is None else sum(part for part in of_damping if part is not None)
        return of_lower, of_force, total, None, None, None, *of_rows, of_strength, of_cone, None, None


def _problem(tensors: Any, most: int, searches: int) -> _Problem:
    force = tensors[_POINTERS.index("force")]
    return _Problem(len(force), force.shape[-1], most, searches, *map(compiled.address, tensors))
