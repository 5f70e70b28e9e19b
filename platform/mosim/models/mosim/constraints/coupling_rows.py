"""Rows of joints that equality constraints couple."""

import torch
from torch import Tensor, nn

from mosim.geometry import buffer, sum_matrix
from mosim.models.mosim.constraints.compliance import Compliance
from mosim.models.mosim.constraints.force_law import ForceLaw
from mosim.models.mosim.constraints.rows import Rows, all_in_every_state
from mosim.models.mosim.tree.mass_tree import InverseWeights
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class CouplingRows(nn.Module):
    """Couplings of joints, by equality constraints: one row each, which always acts and pulls as well as it pushes."""

    _positions: Tensor
    _velocities: Tensor
    _values: Tensor
    _jacobian: Tensor
    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        couplings, links = facts.skeleton.couplings, facts.skeleton.links
        velocities = sum_matrix(couplings, [link.dof_address for link in links], facts.nv)
        buffer(self, "_positions", sum_matrix(couplings, [link.qpos_address for link in links], facts.nq))
        buffer(self, "_velocities", velocities)
        buffer(self, "_values", [coupling.value for coupling in couplings])
        jacobian = self._velocities * statistics.acceleration_std
        self.register_buffer("_jacobian", jacobian, persistent=False)
        self.register_buffer("_response", jacobian.square().sum(-1), persistent=False)
        self.size = len(couplings)
        self.compliance = Compliance(self.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(couplings,)`, by MuJoCo's rule for tendons."""
        velocities = self._velocities.to(inverse.inverse)
        return self._response / ((velocities @ inverse.inverse) * velocities).sum(-1)

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """All, in every state: of each the index in the batch, and which coupling it is, `(n,)`."""
        return all_in_every_state(self.size, qpos)

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which = self.acting(qpos)
        error = (qpos @ self._positions.mT - self._values).flatten()
        speed = (qvel @ self._velocities.mT).flatten()
        numbers = self.compliance(sample, which)
        stiffness, pull = numbers.at(error.abs())
        target = -error.sign() * pull - numbers.damping * speed
        stiffness = (stiffness / self._response[which]).unsqueeze(1)
        strength = torch.full_like(stiffness, torch.inf)
        return Rows(sample, self._jacobian[which].unsqueeze(1), target.unsqueeze(1), ForceLaw(stiffness, strength))
