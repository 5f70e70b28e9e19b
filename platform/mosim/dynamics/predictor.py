"""Predictors: rigid-body structure, `M(q) [b(q, v) + tau(u)]`, with constraint forces or without, and none at all."""

import torch
from torch import Tensor, nn

from mosim.dynamics.config import ModelConfig, NetworkConfig, PredictorKind
from mosim.dynamics.configuration_space import ConfigurationSpace
from mosim.dynamics.constraints import Constraints
from mosim.dynamics.inputs import PositionInputs
from mosim.dynamics.networks import LowerTriangle, ResidualNetwork
from mosim.dynamics.statistics import Statistics
from mosim.shapes import Action, InverseInertia, Qpos, Qvel
from mosim.systems import SystemFacts


class RigidBodyPredictor(nn.Module):
    """`M(q) [b(q, v) + tau(u)]`, whose inverse inertia `M` is symmetric positive definite by construction.

    With constraints, what contacts and joint limits leave of that.
    """

    _scale: Tensor

    def __init__(self, facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> None:
        super().__init__()
        nv = facts.nv
        constraints = Constraints(facts, config.constraints, statistics) if config.constraints else None
        self.constraints = constraints if constraints is not None and constraints.size else None
        # Where constraints take contacts and limits, the networks need not see what only those depend on.
        self.positions = PositionInputs(facts, statistics, unconstrained=self.constrained)
        self._turns = self.constrained and facts.heading_symmetric
        self._space = ConfigurationSpace(facts)
        self.inertia = ResidualNetwork(self.positions.size, nv * (nv + 1) // 2, config.inertia)
        self.bias = ResidualNetwork(self.positions.size + nv, nv, config.bias)
        self.actuation = ResidualNetwork(facts.nu, nv, config.actuation) if facts.nu else None
        self.triangle = LowerTriangle(nv)
        self.register_buffer("_scale", statistics.acceleration_std.clone(), persistent=False)

    @property
    def constrained(self) -> bool:
        """Whether constraints act in this system."""
        return self.constraints is not None

    def inverse_inertia(self, qpos: Qpos) -> InverseInertia:
        """`M(q)`, of shape `(..., nv, nv)`, in the units of the accelerations it stands for."""
        lower = self.triangle(self.inertia(self.positions(qpos)), self._heading(qpos))
        lower = self._scale.unsqueeze(-1) * lower
        return lower @ lower.mT

    def forward(self, qpos: Qpos, qvel: Qvel, velocity: Qvel, action: Action) -> Qvel:
        """Accelerations in units of their standard deviation, of shape `(..., nv)`.

        Args:
          qpos: raw, of shape `(..., nq)`.
          qvel: raw, of shape `(..., nv)`.
          velocity: standardised, of shape `(..., nv)`.
          action: scaled to [-1, 1], of shape `(..., nu)`.
        """
        heading = self._heading(qpos)
        if heading is not None:  # The networks work in the root's own frame.
            velocity = _turn(heading.mT, velocity)
        positions = self.positions(qpos)
        force = self.bias(torch.cat([positions, velocity], dim=-1))
        if self.actuation is not None:
            force = force + self.actuation(action)
        lower = self.triangle(self.inertia(positions), heading)
        if heading is not None:
            force = _turn(heading, force)
        if self.constraints is not None:
            return self.constraints(qpos, qvel, lower, force)
        return (lower @ (lower.mT @ force.unsqueeze(-1))).squeeze(-1)

    def _heading(self, qpos: Qpos) -> Tensor | None:
        """The rotation, `(..., 3, 3)`, of a root whose heading does not matter; None where there is no such."""
        return self._space.rotations(qpos)[0].unflatten(-1, (3, 3)) if self._turns else None


class NetworkPredictor(nn.Module):
    """One residual network of state and action, with as many hidden units as the structured predictor's networks."""

    def __init__(self, facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> None:
        super().__init__()
        self.positions = PositionInputs(facts, statistics)
        shape = config.bias.model_copy(update={"width": _width_of_both(config.inertia, config.bias)})
        self.constrained = False
        self.network = ResidualNetwork(self.positions.size + facts.nv + facts.nu, facts.nv, shape)

    def forward(self, qpos: Qpos, qvel: Qvel, velocity: Qvel, action: Action) -> Qvel:
        """See `RigidBodyPredictor`."""
        del qvel
        return self.network(torch.cat([self.positions(qpos), velocity, action], dim=-1))


def _turn(rotation: Tensor, vector: Tensor) -> Tensor:
    """Turns the first three of `(..., nv)`: a free root's linear accelerations, or its velocity."""
    return torch.cat([(rotation @ vector[..., :3, None]).squeeze(-1), vector[..., 3:]], dim=-1)


def _width_of_both(inertia: NetworkConfig, bias: NetworkConfig) -> int:
    """The width at which one network's hidden layers have as many weights as two networks' together."""
    weights = inertia.depth * inertia.width**2 + bias.depth * bias.width**2
    return round((weights / max(bias.depth, 1)) ** 0.5) or bias.width


PREDICTORS: dict[PredictorKind, type[RigidBodyPredictor] | type[NetworkPredictor]] = {
    "rigid_body": RigidBodyPredictor,
    "network": NetworkPredictor,
}
