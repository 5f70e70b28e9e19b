"""What models share whose networks see scaled states: their scales, and the activations of actuators."""

import abc

import torch
from torch import Tensor

from mosim.core.shapes import Action, Controls, Motion, State
from mosim.models.config import ModelConfig
from mosim.models.learned import LearnedModel, Windows
from mosim.models.parts.activation import ActivationDynamics
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_ACTIVATION_SAMPLE = 30_000
"""Transitions from which it is found how activations follow their controls."""


class ScaledModel(LearnedModel, abc.ABC):
    """A model whose states and actions are raw at every border, while its networks see them scaled.

    Activations of actuators are further controls to the networks. How they follow the controls is no network's: it is
    found by least squares.

    Attributes:
      activation: how activations follow controls; None where no actuator has one.
    """

    _action_middle: Tensor
    _action_scale: Tensor
    _velocity_scale: Tensor

    def __init__(self, facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        self.activation = ActivationDynamics(facts) if facts.activations else None
        lower, upper = torch.tensor(facts.driven.control_lower), torch.tensor(facts.driven.control_upper)
        self.register_buffer("_action_middle", (lower + upper) / 2, persistent=False)
        self.register_buffer("_action_scale", 2 / (upper - lower), persistent=False)
        self.register_buffer("_velocity_scale", 1 / statistics.velocity_std, persistent=False)

    def scaled(self, action: Controls) -> Controls:
        """Actions, with activations after them, of their range as numbers from -1 to 1, as the parts see them."""
        return (action - self._action_middle) * self._action_scale

    def controls(self, state: State, action: Action) -> Controls:
        """The action, and the state's activations as further controls, unscaled."""
        return action if self.activation is None else torch.cat([action, state[..., self.facts.layout.act]], dim=-1)

    def driven(self, state: State, action: Action) -> tuple[Motion, Controls]:
        """A state without its activations, and the action with them as further controls: what the parts see."""
        return state[..., self.facts.layout.motion], self.controls(state, action)

    def with_activations(self, motion: Motion, before: State, action: Action) -> State:
        """Completes a predicted `[qpos, qvel]` by the activations that an action leads to from the state before."""
        if self.activation is None:
            return motion
        return torch.cat([motion, self.activation(action, before[..., self.facts.layout.act])], dim=-1)

    def fit_scales(self, windows: Windows) -> None:
        """See `LearnedModel`: how activations follow their controls, from transitions."""
        states, actions = (part.cpu() for part in windows.spread(_ACTIVATION_SAMPLE, 1))
        self.fit_activations(states[:, 0], actions[:, 0], states[:, 1])

    def fit_activations(self, state: State, action: Action, next_state: State) -> None:
        """Finds how activations follow their controls, from transitions; where there are none, does nothing."""
        if self.activation is not None:
            layout = self.facts.layout
            self.activation.fit(action, state[..., layout.act], next_state[..., layout.act])
