"""What models that predict accelerations share."""

import abc

import torch
from torch import Tensor

from mosim.core.shapes import Action, Qvel, State
from mosim.models.config import ModelConfig
from mosim.models.parts.integrators import Acceleration, IntegratorConfig, make_integrator
from mosim.models.scaled_model import ScaledModel
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class AccelerationModel(ScaledModel, abc.ABC):
    """A model of accelerations, which an integrator makes the next state of.

    Attributes:
      integrator: from accelerations to the next state.
    """

    _velocity_limit: Tensor
    _acceleration_std: Tensor
    _acceleration_limit: Tensor

    def __init__(
        self,
        facts: SystemFacts,
        config: ModelConfig,
        statistics: Statistics,
        integrator: IntegratorConfig | None = None,
        exact: bool = False,
    ) -> None:
        """Takes the scales.

        Args:
          facts: of the system.
          config: of the model.
          statistics: of the training data.
          integrator: of the accelerations; None is `auto`.
          exact: whether `auto` takes every stage of MuJoCo's own method; see `resolve_integrator`.
        """
        super().__init__(facts, config, statistics)
        self.register_buffer("_acceleration_std", statistics.acceleration_std.clone(), persistent=False)
        self.register_buffer("_velocity_limit", statistics.velocity_limit.clone(), persistent=False)
        self.register_buffer("_acceleration_limit", statistics.acceleration_limit.clone(), persistent=False)
        self.integrator = make_integrator(integrator or IntegratorConfig(), facts, exact)

    def bounded(self, scaled: Qvel) -> Qvel:
        """Accelerations in SI units of those in units of their standard deviation, kept near those of the data."""
        return torch.clamp(scaled * self._acceleration_std, -self._acceleration_limit, self._acceleration_limit)

    def integrated(self, state: State, action: Action, acceleration: Acceleration, bounded: bool = True) -> State:
        """The state after a physics step.

        Args:
          state: before it.
          action: held during it.
          acceleration: in SI units, of positions, velocities, and the action with activations after it.
          bounded: whether velocities are kept near those of the data, beyond which networks know nothing.
        """
        qpos, qvel, _ = self.facts.layout.split(state)
        next_qpos, next_qvel = self.integrator(acceleration, qpos, qvel, self.controls(state, action))
        if bounded:
            next_qvel = torch.clamp(next_qvel, -self._velocity_limit, self._velocity_limit)
        return self.with_activations(torch.cat([next_qpos, next_qvel], dim=-1), state, action)
