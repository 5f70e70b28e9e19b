"""Balances of forces in which no constraint's force stands, as the geometry alone says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mosim.core.shapes import Qpos
from mosim.geometry import ContactGaps, Jacobians, Kinematics, SolidContacts, buffer, index_buffer, sum_matrix
from mosim.robots import SystemFacts

_NEAR = 5e-4
"""Metres, or radians, before a contact or a limit in which it may act already; links in many models are 1 mm apart."""

_NO_COEFFICIENT = 1e-9
"""Of a coupling, below which others say the same."""


class FreeRows(nn.Module):
    """The rows of a force balance in which no force of a contact or of a limit stands.

    A contact pushes the degrees of freedom that move one of its two links against the other, a limit those of its own
    joint: all other rows hold as if there were none, even of a robot that stands.
    """

    _moved: Tensor
    _moved_by_solids: Tensor
    _qpos: Tensor
    _dofs: Tensor
    _lower: Tensor
    _upper: Tensor

    def __init__(self, facts: SystemFacts) -> None:
        super().__init__()
        self._kinematics, self._gaps = Kinematics(facts.skeleton), ContactGaps(facts.skeleton)
        moves = Jacobians(facts.skeleton).moves
        self.register_buffer("_moved", (moves[self._gaps.first] - moves[self._gaps.second]).abs(), persistent=False)
        solids = self._solids = SolidContacts(facts.skeleton)
        self.register_buffer("_moved_by_solids", (moves[solids.first] - moves[solids.second]).abs(), persistent=False)
        limited = [joint for joint in facts.joints if joint.limited and joint.kind in ("hinge", "slide")]
        self._balls = [joint for joint in facts.joints if joint.limited and joint.kind == "ball"]
        index_buffer(self, "_qpos", [joint.qpos_address for joint in limited])
        index_buffer(self, "_dofs", [joint.dof_address for joint in limited])
        buffer(self, "_lower", [joint.lower for joint in limited])
        buffer(self, "_upper", [joint.upper for joint in limited])

    def forward(self, qpos: Qpos) -> Tensor:
        """True where a degree of freedom is pushed by none, `(batch, nv)`, at `qpos`, `(batch, nq)`."""
        qpos = qpos.to(self._lower)
        free = torch.ones(len(qpos), self._moved.shape[-1], dtype=torch.bool, device=qpos.device)
        poses = self._kinematics.poses(qpos)
        if self._gaps.size:
            free &= (self._gaps(poses).distance < _NEAR).to(self._moved) @ self._moved == 0
        if self._solids.size:
            free &= self._solids.within(poses, _NEAR).to(self._moved) @ self._moved_by_solids == 0
        angle = qpos[:, self._qpos]
        free[:, self._dofs] &= (angle > self._lower + _NEAR) & (angle < self._upper - _NEAR)
        for ball in self._balls:
            cosine = qpos[:, ball.qpos_address].abs().clamp_max(1.0)
            turned = 2 * torch.acos(cosine) < ball.upper - _NEAR
            free[:, ball.dof_address : ball.dof_address + 3] &= turned.unsqueeze(-1)
        return free


class Combination(NamedTuple):
    """A weighted sum of the balances of degrees of freedom; the first of them weighs 1."""

    dofs: tuple[int, ...]
    weights: tuple[float, ...]

    def in_units_of(self, force_scale: Tensor) -> Tensor:
        """Weights of balances in units of their forces, `(nv,)`, for one in units of the first's."""
        dofs = list(self.dofs)
        return force_scale.new_tensor(self.weights) * force_scale[dofs] / force_scale[dofs[0]]


def uncoupled(facts: SystemFacts) -> tuple[Combination, ...]:
    """Balances in which no force of a coupling stands: of each degree of freedom, less what takes couplings out.

    A coupling's forces on its joints are in the ratio of its coefficients, so that one joint's balance, by Gauss and
    Jordan's elimination, takes the coupling out of those of the others, and is lost itself.
    """
    addresses = [link.dof_address for link in facts.skeleton.links]
    matrix, lost = sum_matrix(facts.skeleton.couplings, addresses, facts.nv), {}
    for row in range(len(matrix)):
        column = int(np.abs(matrix[row]).argmax())
        if abs(matrix[row, column]) < _NO_COEFFICIENT:
            continue
        matrix[row] /= matrix[row, column]
        others = np.arange(len(matrix)) != row
        matrix[others] -= np.outer(matrix[others, column], matrix[row])
        lost[column] = row
    found = []
    for dof in sorted(set(range(facts.nv)) - set(lost)):
        taken = {column: -float(matrix[row, dof]) for column, row in lost.items() if matrix[row, dof]}
        found.append(Combination((dof, *taken), (1.0, *taken.values())))
    return tuple(found)


def coupled_motion(rates: Tensor, balances: Sequence[Combination]) -> Tensor:
    """Accelerations, `(batch, nv)`, which those of the balances' first degrees of freedom make couplings ask for."""
    moved = torch.zeros_like(rates)
    for balance in balances:
        for dof, weight in zip(balance.dofs, balance.weights, strict=True):
            moved[:, dof] += weight * rates[:, balance.dofs[0]]
    return moved


def without_couplings(rows: Tensor, balances: Sequence[Combination], force_scale: Tensor) -> Tensor:
    """Combinations, `(batch, balances, n)`, of rows of the balances of all degrees of freedom, `(batch, nv, n)`."""
    return torch.stack([each.in_units_of(force_scale) @ rows[:, list(each.dofs)] for each in balances], dim=1)
