"""What models share that predict in a space of their own and decode states from it."""

import abc

import torch
from torch import Tensor

from mosim.core.shapes import Action, Seen, State
from mosim.models.arrays.config import ArrayConfig
from mosim.models.scaled_model import ScaledModel
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class DecodedModel(ScaledModel, abc.ABC):
    """A model that sees positions and velocities as plain numbers of the data's scale, and predicts such numbers."""

    _mean: Tensor
    _std: Tensor

    def __init__(self, facts: SystemFacts, config: ArrayConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        zeros = torch.zeros_like(statistics.velocity_std)  # Velocities are scaled, not shifted: rest stays rest.
        self.register_buffer("_mean", torch.cat([statistics.qpos_mean, zeros]), persistent=False)
        self.register_buffer("_std", torch.cat([statistics.qpos_std, statistics.velocity_std]), persistent=False)

    def numbers(self, state: State) -> Seen:
        """Positions and velocities of a state as the networks see them, `(..., nq + nv)`."""
        return (state[..., self.facts.layout.motion] - self._mean) / self._std

    def decoded(self, numbers: Seen, before: State, action: Action) -> State:
        """The state that numbers stand for, with the activations that an action leads to from the state before."""
        qpos, qvel = self.space.split(numbers * self._std + self._mean)
        return self.with_activations(torch.cat([self.space.normalise(qpos), qvel], dim=-1), before, action)
