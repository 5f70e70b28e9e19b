"""What these kinds share that predict accelerations."""

import abc

import torch

from mosim.core.shapes import Action, Qvel, Seen, State
from mosim.models.acceleration_model import AccelerationModel
from mosim.models.arrays.config import ArrayConfig
from mosim.models.parts.position_inputs import PositionInputs
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class ArrayModel(AccelerationModel, abc.ABC):
    """Networks that see one state and action as one vector, and give an acceleration, held during the physics step.

    Attributes:
      positions: how networks see positions.
      input_size: width of what they see of a state and an action.
    """

    def __init__(
        self, facts: SystemFacts, config: ArrayConfig, statistics: Statistics, own_frame: bool = False
    ) -> None:
        """Takes the scales; `own_frame` as for `PositionInputs`."""
        super().__init__(facts, config, statistics)
        self.positions = PositionInputs(facts.driven, statistics, drawing=False, own_frame=own_frame)
        self.input_size = self.positions.size + facts.nv + facts.driven.nu

    def seen(self, state: State, action: Action) -> Seen:
        """A state and an action as the networks see them, `(..., input_size)`."""
        motion, controls = self.driven(state, action)
        qpos, qvel = self.space.split(motion)
        velocity = self.positions.turned_in(qpos, qvel * self._velocity_scale)
        return torch.cat([self.positions(qpos), velocity, self.scaled(controls)], dim=-1)

    def moved(self, state: State, action: Action, acceleration: Qvel) -> State:
        """The state after a physics step under an acceleration, in units of its standard deviation."""
        qpos, _, _ = self.facts.layout.split(state)
        held = self.bounded(self.positions.turned_out(qpos, acceleration))
        return self.integrated(state, action, lambda qpos, qvel, control: held)
