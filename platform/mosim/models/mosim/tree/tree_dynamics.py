"""The inverse inertia and the bias force of a tree of masses by compiled C (tree_dynamics.c), on a CPU.

The same as torch's operations in `MassTree` and `FluidDrag`, with the same gradients, in a fraction of the time. It is
an operator of torch's own, so that autograd and torch.compile know it. The operators are registered by torch.library's
functions for a namespace: `torch.library.custom_op` loads the compiler at its first call, which takes seconds.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from mosim.models.mosim import compiled
from mosim.models.mosim.tree.drawing import Links, links_of

_EXTENSION = "mosim.models.mosim._tree_dynamics"
"""The shared library that is built when mosim is installed, where there is a C compiler."""

_LANES = 8
"""States that are worked on at a time."""

_GIVEN = ("qpos", "qvel", "inertia", "armature", "drag", "gravity", "unit", "places", "layout", "drawing")
"""The operator's arguments, of which the first five have gradients."""


def takes(qpos: Tensor, drawing: Tensor) -> bool:
    """Whether the compiled code is there, and is for such tensors. Where it could not be built, this warns once."""
    return qpos.is_cpu and drawing.dtype == torch.float64 and compiled.library(_EXTENSION) is not None


def factor_and_bias(
    qpos: Tensor,
    qvel: Tensor,
    inertia: Tensor,
    armature: Tensor,
    drag: Tensor,
    gravity: Tensor,
    unit: Tensor,
    places: Tensor,
    layout: Tensor,
    drawing: Tensor,
) -> tuple[Tensor, Tensor]:
    """The inverse inertia's factor, and the Coriolis, centrifugal, gravity and drag forces; differentiable once.

    Worked out in double precision. Quaternions need not have unit length.

    Args:
      qpos: `(states, nq)`, single or double precision.
      qvel: `(states, nv)`, of the same.
      inertia: pseudo-inertias of the links that carry bodies, in their own frames, `(carriers, 4, 4)`, double.
      armature: `(nv,)`, double.
      drag: see `FluidDrag.strengths`, `(places, 8)`, double; no places where there is no fluid.
      gravity: `(3,)`, double; has no gradient, nor has what follows.
      unit: of accelerations, `(nv,)`.
      places: see `FluidDrag.drawing`, `(places, 16)`, double.
      layout: see `drawing.Drawing`, as is the next.
      drawing: its numbers, double.

    Returns:
      The lower triangular `L`, `(states, nv, nv)`, with `L L^T` the inverse inertia in units of accelerations, of the
      positions' precision; and the bias force in SI units, `(states, nv)`, double.
    """
    given = (qpos, qvel, inertia, armature, drag, gravity, unit, places, layout, drawing)
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or type(qpos) is not Tensor:
        return torch.ops.mosim.factor_and_bias(*given)
    return _computed(*given)  # Torch's dispatcher takes a quarter of a small robot's time.


class _Tree(ctypes.Structure):
    """`Tree` of tree_dynamics.c."""

    _fields_ = (
        ("of", Links),
        *((name, ctypes.c_int64) for name in ("carriers", "dragged", "single")),
        *((name, ctypes.c_void_p) for name in ("inertia", "armature", "drag", "gravity", "unit", "places")),
    )


_SCHEMA = ", ".join(f"Tensor {name}" for name in _GIVEN)

torch.library.define("mosim::factor_and_bias", f"({_SCHEMA}) -> (Tensor, Tensor)")
torch.library.define(
    "mosim::factor_and_bias_backward",
    f"(Tensor lower, Tensor bias, {_SCHEMA}, bool of_states) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def _computed(*given: Tensor) -> tuple[Tensor, Tensor]:
    tree, kept = _tree(given)
    lower, bias = _results(*given)
    compiled.run(_EXTENSION, "factor_and_bias", tree, len(bias), _LANES, lambda part: (lower, bias))
    del kept
    return lower, bias


torch.library.impl("mosim::factor_and_bias", "CPU", _computed)


@torch.library.register_fake("mosim::factor_and_bias")
def _results(qpos: Tensor, qvel: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    return qpos.new_empty(*qvel.shape, qvel.shape[-1]), qvel.new_empty(qvel.shape, dtype=torch.float64)


@torch.library.impl("mosim::factor_and_bias_backward", "CPU")
def _backward(lower: Tensor, bias: Tensor, *given: Any) -> tuple[Tensor, ...]:
    *tensors, of_states = given
    tree, kept = _tree(tensors)
    lower, bias = lower.contiguous(), bias.contiguous()
    of_qpos, of_qvel, *learned = _gradients(lower, bias, *given)
    shares = [tuple(map(torch.empty_like, learned)) for _ in compiled.parts(len(bias), _LANES)]
    moving = (of_qpos.double(), of_qvel.double()) if of_states else (None, None)
    compiled.run(_EXTENSION, "gradients", tree, len(bias), _LANES, lambda part: (lower, bias, *moving, *shares[part]))
    del kept
    if of_states:
        of_qpos, of_qvel = (part.to(of_qpos.dtype) for part in moving if part is not None)
    return of_qpos, of_qvel, *(torch.stack(parts).sum(0) for parts in zip(*shares, strict=True))


@torch.library.register_fake("mosim::factor_and_bias_backward")
def _gradients(lower: Tensor, bias: Tensor, *given: Any) -> tuple[Tensor, ...]:
    qpos, qvel, inertia, armature, drag, *_, of_states = given
    states = (torch.empty_like(part, memory_format=torch.contiguous_format) for part in (qpos, qvel))
    none = (qpos.new_empty(0), qvel.new_empty(0))
    learned = (torch.empty_like(part, memory_format=torch.contiguous_format) for part in (inertia, armature, drag))
    return *(states if of_states else none), *learned


def _setup(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    del output
    ctx.save_for_backward(*inputs)


def _backwards(ctx: Any, lower: Tensor, bias: Tensor) -> tuple[Tensor | None, ...]:
    of_states = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
    found = torch.ops.mosim.factor_and_bias_backward(lower, bias, *ctx.saved_tensors, of_states)
    return *(found if of_states else (None, None, *found[2:])), *[None] * 5


torch.library.register_autograd("mosim::factor_and_bias", _backwards, setup_context=_setup)


def _tree(given: Any) -> tuple[_Tree, list[Tensor]]:
    """What C reads, and the tensors whose numbers these are."""
    qpos, qvel, inertia, armature, drag, gravity, unit, places, layout, drawing = given
    links, kept = links_of(qpos, qvel, layout, drawing)
    others = [part.double().contiguous() for part in (inertia, armature, drag, gravity, unit, places)]
    sizes = len(inertia), len(drag), qpos.dtype == torch.float32
    return _Tree(links, *sizes, *map(compiled.address, others)), kept + others
