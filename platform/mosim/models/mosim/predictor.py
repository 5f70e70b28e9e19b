"""Predictors by networks: rigid-body structure, `M(q) [b(q, v) + tau(u)]`, and none at all; and all kinds by name."""

import torch
from torch import Tensor, nn

from mosim.core.shapes import Action, InverseInertia, Qpos, Qvel
from mosim.geometry import ConfigurationSpace
from mosim.models.mosim.config import NeuralSimulatorConfig, PredictorKind
from mosim.models.mosim.constraints.constrained_motion import constraints_of
from mosim.models.mosim.lower_triangle import LowerTriangle
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.models.parts.networks import NetworkConfig, ResidualNetwork
from mosim.models.parts.position_inputs import PositionInputs, turn_root
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_IMPLICIT_DAMPING = 0.05
"""Joint damping that the step takes implicitly, before training: of a step, over the inertia."""


class RigidBodyPredictor(nn.Module):
    """`M(q) [b(q, v) + tau(u)]`, whose inverse inertia `M` is symmetric positive definite by construction.

    With constraints, what contacts and joint limits leave of that.
    """

    bounded = True
    """Networks know nothing beyond the data, so predictions are kept near these."""

    _scale: Tensor

    def __init__(self, facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> None:
        super().__init__()
        nv = facts.nv
        self.constraints = constraints_of(facts, config, statistics)
        # Where constraints take contacts and limits, the networks need not see what only those depend on.
        drawing = config.constraints is not None
        self.positions = PositionInputs(facts, statistics, drawing, unconstrained=self.constrained)
        self._turns = self.constrained and facts.heading_symmetric
        self._space = ConfigurationSpace(facts.joints)
        self.inertia = ResidualNetwork(self.positions.size, nv * (nv + 1) // 2, config.inertia)
        self.bias = ResidualNetwork(self.positions.size + nv, nv, config.bias)
        self.actuation = ResidualNetwork(facts.nu, nv, config.actuation) if facts.nu else None
        self.triangle = LowerTriangle(nv)
        # MuJoCo's RK4 takes damping as it takes every force; constraints then meet the inertia without it.
        damps = self.constrained and facts.integrator != "RK4"
        self.log_damping = nn.Parameter(torch.full((nv,), _IMPLICIT_DAMPING).log()) if damps else None
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
            velocity = turn_root(heading.mT, velocity)
        positions = self.positions(qpos)
        force = self.bias(torch.cat([positions, velocity], dim=-1))
        if self.actuation is not None:
            force = force + self.actuation(action)
        lower = self.triangle(self.inertia(positions), heading)
        if heading is not None:
            force = turn_root(heading, force)
        if self.constraints is not None:
            damping = None if self.log_damping is None else self.log_damping.exp()
            return self.constraints(qpos, qvel, lower, force, damping)
        return (lower @ (lower.mT @ force.unsqueeze(-1))).squeeze(-1)

    def _heading(self, qpos: Qpos) -> Tensor | None:
        """The rotation, `(..., 3, 3)`, of a root whose heading does not matter; None where there is no such."""
        return self._space.rotations(qpos)[0].unflatten(-1, (3, 3)) if self._turns else None


class NetworkPredictor(nn.Module):
    """One residual network of state and action, with as many hidden units as the structured predictor's networks."""

    bounded = True

    def __init__(self, facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> None:
        super().__init__()
        self.positions = PositionInputs(facts, statistics, drawing=False)
        shape = config.bias.model_copy(update={"width": _width_of_both(config.inertia, config.bias)})
        self.constrained, self.constraints = False, None
        self.network = ResidualNetwork(self.positions.size + facts.nv + facts.nu, facts.nv, shape)

    def forward(self, qpos: Qpos, qvel: Qvel, velocity: Qvel, action: Action) -> Qvel:
        """See `RigidBodyPredictor`."""
        del qvel
        return self.network(torch.cat([self.positions(qpos), velocity, action], dim=-1))


def _width_of_both(inertia: NetworkConfig, bias: NetworkConfig) -> int:
    """The width at which one network's hidden layers have as many weights as two networks' together."""
    weights = inertia.depth * inertia.width**2 + bias.depth * bias.width**2
    return round((weights / max(bias.depth, 1)) ** 0.5) or bias.width


Predictor = RigidBodyPredictor | NetworkPredictor | ArticulatedPredictor

PREDICTORS: dict[PredictorKind, type[Predictor]] = {
    "rigid_body": RigidBodyPredictor,
    "network": NetworkPredictor,
    "articulated": ArticulatedPredictor,
}
