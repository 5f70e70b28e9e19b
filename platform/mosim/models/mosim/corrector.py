"""Correctors: what rigid-body structure leaves out, such as contacts, limits and friction."""

import torch
from torch import nn

from mosim.core.shapes import Action, Qpos, Qvel
from mosim.models.mosim.config import CorrectorConfig
from mosim.models.mosim.inputs import Contacts, LimitDepth
from mosim.models.parts.networks import ResidualNetwork
from mosim.models.parts.position_inputs import PositionInputs
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class Corrector(nn.Module):
    """A residual acceleration `eps_k(q, v, u)`; exactly zero until it is trained."""

    def __init__(self, facts: SystemFacts, config: CorrectorConfig, statistics: Statistics) -> None:
        super().__init__()
        self.positions = PositionInputs(facts, statistics, drawing=bool(config.inputs))
        available = {"limit_depth": LimitDepth, "contacts": Contacts}
        extras = [available[name](facts, statistics) for name in config.inputs]
        size = self.positions.size + facts.nv + facts.nu + sum(extra.size for extra in extras)
        self.extras = nn.ModuleList(extra for extra in extras if extra.size)
        self.network = ResidualNetwork(size, facts.nv, config.network, zero_output=True)

    def forward(self, qpos: Qpos, qvel: Qvel, velocity: Qvel, action: Action) -> Qvel:
        """Accelerations in units of their standard deviation; arguments as the predictor's."""
        extras = [extra(qpos, qvel, velocity) for extra in self.extras]
        return self.network(torch.cat([self.positions(qpos), velocity, action, *extras], dim=-1))
