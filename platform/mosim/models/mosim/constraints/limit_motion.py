"""Joints beyond their limits, and how motion leads back: by torch, or by compiled C (constraint_motion.c)."""

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mosim.geometry import buffer, index_buffer
from mosim.models.mosim import compiled
from mosim.models.mosim.constraints import contact_motion
from mosim.robots import SystemFacts


class ReachedLimits(NamedTuple):
    """The joints beyond a limit in a batch of states.

    Attributes:
      sample: `(n,)`: the index in the batch.
      which: `(n,)`: the index among the joints that have limits.
      depth: `(n,)`, in metres or radians; positive.
      jacobian: `(n, nv)`: of the velocity that leads back, by velocities in their unit.
      speed: `(n,)`: that velocity, in metres or radians a second.
    """

    sample: Tensor
    which: Tensor
    depth: Tensor
    jacobian: Tensor
    speed: Tensor


class LimitMotion(nn.Module):
    """The slides and hinges with limits.

    Attributes:
      size: how many there are.
      dofs: `(size,)`: their degrees of freedom.
    """

    dofs: Tensor
    _qpos: Tensor
    _lower: Tensor
    _upper: Tensor
    _unit: Tensor

    def __init__(self, facts: SystemFacts, unit: Tensor) -> None:
        """`unit`, `(nv,)`, is of velocities in the Jacobian."""
        super().__init__()
        limited = [joint for joint in facts.joints if joint.limited and joint.kind in ("slide", "hinge")]
        self.size = len(limited)
        index_buffer(self, "dofs", [joint.dof_address for joint in limited])
        index_buffer(self, "_qpos", [joint.qpos_address for joint in limited])
        buffer(self, "_lower", [joint.lower for joint in limited])
        buffer(self, "_upper", [joint.upper for joint in limited])
        self.register_buffer("_unit", unit.clone(), persistent=False)

    def forward(self, qpos: Tensor, qvel: Tensor) -> ReachedLimits:
        """The limits reached at `qpos`, `(batch, nq)`, and `qvel`, `(batch, nv)`."""
        return self._compiled(qpos, qvel) if contact_motion.takes(qpos, qvel) else self._in_torch(qpos, qvel)

    def _compiled(self, qpos: Tensor, qvel: Tensor) -> ReachedLimits:
        most, size = len(qpos) * self.size, qvel.shape[-1]
        which = self.dofs.new_empty(2, most)
        rest = [qvel.new_empty(most, *shape) for shape in ((), (size,), ())]
        states = [qpos.contiguous(), qvel.contiguous()]
        numbers = [*states, self._qpos, self.dofs, self._lower.float(), self._upper.float(), self._unit.float()]
        limited = _Limited(len(qpos), qpos.shape[-1], size, self.size, *map(compiled.address, numbers))
        library: Any = compiled.library(contact_motion.EXTENSION)
        addresses = [ctypes.c_void_p(compiled.address(part)) for part in (which, *rest)]
        count = library.limits(ctypes.byref(limited), *addresses)
        return ReachedLimits(which[0, :count], which[1, :count], *(part[:count] for part in rest))

    def _in_torch(self, qpos: Tensor, qvel: Tensor) -> ReachedLimits:
        angle = qpos.index_select(-1, self._qpos)
        above, below = angle - self._upper, self._lower - angle
        sample, joint = (torch.maximum(above, below) > 0).nonzero().unbind(-1)
        above, below = above[sample, joint], below[sample, joint]
        # A row's direction is the one that leads back.
        back = torch.where(above > below, -1.0, 1.0).to(qvel)
        dof = self.dofs[joint]
        jacobian = back.unsqueeze(-1) * torch.diag(self._unit).index_select(0, dof)
        return ReachedLimits(sample, joint, torch.maximum(above, below), jacobian, back * qvel[sample, dof])


class _Limited(ctypes.Structure):
    """`Limited` of constraint_motion.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("states", "positions", "size", "joints")),
        *((name, ctypes.c_void_p) for name in ("qpos", "qvel", "places", "dofs", "lower", "upper", "unit")),
    )
