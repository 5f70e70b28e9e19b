"""Rows of joints with dry friction."""

import torch
from torch import Tensor, nn

from mosim.geometry import index_buffer
from mosim.models.mosim.constraints.compliance import FRICTION, Compliance, Impedances
from mosim.models.mosim.constraints.force_law import ForceLaw
from mosim.models.mosim.constraints.rows import Rows, all_in_every_state
from mosim.models.mosim.tree.mass_tree import InverseWeights
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_FRICTION = 0.1
"""Strength of dry friction before training, over the force that accelerates as the data do."""


class DryFrictionRows(nn.Module):
    """Dry friction at joints: one row for each degree of freedom, which holds it up to a strength.

    Attributes:
      dofs: `(size,)`: the degrees of freedom.
      scale: `(size,)`: of strengths, in newtons or newton metres; each is a scale times the friction of `compliance`.
    """

    dofs: Tensor
    scale: Tensor
    _jacobian: Tensor
    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        index_buffer(self, "dofs", [dof for joint in facts.joints if joint.dry_friction for dof in joint.dofs])
        unit = statistics.acceleration_std[self.dofs]
        self.register_buffer("scale", _FRICTION / unit, persistent=False)
        self.register_buffer("_jacobian", torch.diag(statistics.acceleration_std)[self.dofs], persistent=False)
        self.register_buffer("_response", unit.square(), persistent=False)
        self.size = len(self.dofs)
        self.compliance = Compliance(self.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(size,)`, by MuJoCo's rule."""
        return self._response / inverse.dofs[self.dofs]

    @property
    def strength(self) -> Tensor:
        """How hard each holds, `(size,)`, in newtons or newton metres."""
        return self.scale * Impedances.of(self.compliance.learned()).friction

    @torch.no_grad()
    def set_strength(self, strength: Tensor) -> None:
        """Makes positive numbers, `(size,)`, the learned ones."""
        shared = self.compliance.shared[FRICTION]
        self.compliance.own[:, FRICTION] = (strength / self.scale).log() - shared

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """All, in every state: of each the index in the batch, and which it is, `(n,)`."""
        return all_in_every_state(self.size, qpos)

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which = self.acting(qpos)
        speed = qvel[:, self.dofs].flatten()
        numbers = self.compliance(sample, which)
        stiffness, _ = numbers.at(torch.zeros_like(speed))
        parts = (-numbers.damping * speed, stiffness / self._response[which], self.scale[which] * numbers.friction)
        target, stiffness, strength = (part.unsqueeze(1) for part in parts)
        return Rows(sample, self._jacobian[which].unsqueeze(1), target, ForceLaw(stiffness, strength))
