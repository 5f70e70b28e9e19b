"""The predictor: rigid-body structure, `M(q) [b(q, v) + tau(u)]`."""

import torch
from torch import Tensor, nn

from mosim.dynamics.config import ModelConfig
from mosim.dynamics.inputs import PositionInputs
from mosim.dynamics.networks import LowerTriangle, ResidualNetwork
from mosim.dynamics.statistics import Statistics
from mosim.shapes import Action, InverseInertia, Qpos, Qvel
from mosim.systems import SystemFacts


class Predictor(nn.Module):
    """Accelerations from an inverse inertia that is symmetric positive definite by construction (the paper's M)."""

    _scale: Tensor

    def __init__(self, facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> None:
        super().__init__()
        nv = facts.nv
        self.positions = PositionInputs(facts, statistics)
        self.inertia = ResidualNetwork(self.positions.size, nv * (nv + 1) // 2, config.inertia)
        self.bias = ResidualNetwork(self.positions.size + nv, nv, config.bias)
        self.actuation = ResidualNetwork(facts.nu, nv, config.actuation) if facts.nu else None
        self.triangle = LowerTriangle(nv)
        self.register_buffer("_scale", statistics.acceleration_std.clone(), persistent=False)

    def inverse_inertia(self, qpos: Qpos) -> InverseInertia:
        """`M(q)`, of shape `(..., nv, nv)`, in the units of the accelerations it stands for."""
        lower = self._scale.unsqueeze(-1) * self.triangle(self.inertia(self.positions(qpos)))
        return lower @ lower.mT

    def forward(self, qpos: Qpos, velocity: Qvel, action: Action) -> Qvel:
        """Accelerations in units of their standard deviation, of shape `(..., nv)`.

        Args:
          qpos: raw, of shape `(..., nq)`.
          velocity: standardised, of shape `(..., nv)`.
          action: scaled to [-1, 1], of shape `(..., nu)`.
        """
        positions = self.positions(qpos)
        force = self.bias(torch.cat([positions, velocity], dim=-1))
        if self.actuation is not None:
            force = force + self.actuation(action)
        lower = self.triangle(self.inertia(positions))
        return (lower @ (lower.mT @ force.unsqueeze(-1))).squeeze(-1)
