"""The neural simulator: predictor and correctors under an integrator."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from mosim.core.shapes import Action, Qpos, Qvel, State
from mosim.core.threads import single_threaded
from mosim.models.interface import MarkovModel
from mosim.models.learned import LearnedModel, Windows
from mosim.models.mosim.activation import ActivationDynamics
from mosim.models.mosim.config import NeuralSimulatorConfig
from mosim.models.mosim.corrector import Corrector
from mosim.models.mosim.integrators import make_integrator
from mosim.models.mosim.predictor import PREDICTORS, Predictor
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_ACTIVATION_SAMPLE = 30_000
"""Transitions from which it is found how activations follow their controls."""


class NeuralSimulator(MarkovModel, LearnedModel):
    """`dv/dt = M(q) [b(q, v) + tau(u)] + sum_k eps_k(q, v, u)`, integrated over physics steps.

    States and actions are raw at every border; they are standardised inside.

    Attributes:
      predictor, correctors: the parts that stages train. Activations of actuators are further controls to them.
      activation: how these follow their controls; None where no actuator has one.
      active_correctors: how many correctors take part; a stage that trains an earlier part leaves later ones out, which
        saves their time and changes nothing, since an untrained corrector is zero.
      integrator: from accelerations to the next state.
    """

    config: NeuralSimulatorConfig
    predictor: Predictor
    _action_middle: Tensor
    _action_scale: Tensor
    _velocity_scale: Tensor
    _velocity_limit: Tensor
    _acceleration_std: Tensor
    _acceleration_limit: Tensor

    def __init__(self, facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        driven = facts.driven
        self.activation = ActivationDynamics(facts) if facts.activations else None
        self.predictor = PREDICTORS[config.predictor](driven, config, statistics)
        self.correctors = nn.ModuleList(Corrector(driven, part, statistics) for part in config.correctors)
        self.active_correctors = len(self.correctors)
        lower, upper = torch.tensor(driven.control_lower), torch.tensor(driven.control_upper)
        self.register_buffer("_action_middle", (lower + upper) / 2, persistent=False)
        self.register_buffer("_action_scale", 2 / (upper - lower), persistent=False)
        self.register_buffer("_velocity_scale", 1 / statistics.velocity_std, persistent=False)
        self.register_buffer("_acceleration_std", statistics.acceleration_std.clone(), persistent=False)
        self.register_buffer("_velocity_limit", statistics.velocity_limit.clone(), persistent=False)
        self.register_buffer("_acceleration_limit", statistics.acceleration_limit.clone(), persistent=False)
        exact = self.predictor.constrained or not self.predictor.bounded
        self.integrator = make_integrator(config.integrator, facts, exact)

    def scaled(self, action: Action) -> Action:
        """Actions, with activations after them, of their range as numbers from -1 to 1, as the parts see them."""
        return (action - self._action_middle) * self._action_scale

    @single_threaded
    def acceleration(self, qpos: Qpos, qvel: Qvel, action: Action) -> Qvel:
        """`dv/dt`, of shape `(..., nv)`, in SI units."""
        if not torch.compiler.is_compiling():  # A counter in a graph would compile it anew for every count.
            self.nfe += 1
        velocity = qvel * self._velocity_scale
        scaled = self.scaled(action)
        total = self.predictor(qpos, qvel, velocity, scaled)
        for corrector in self.correctors[: self.active_correctors]:
            total = total + corrector(qpos, qvel, velocity, scaled)
        total = total * self._acceleration_std
        if not self.predictor.bounded:
            return total
        return torch.clamp(total, -self._acceleration_limit, self._acceleration_limit)

    @single_threaded
    def step(self, carry: State, action: Action) -> State:
        """See `DynamicsModel`."""
        qpos, qvel, act = self.facts.layout.split(carry)
        control = action if self.activation is None else torch.cat([action, act], dim=-1)
        next_qpos, next_qvel = self.integrator(self.acceleration, qpos, qvel, control)
        if self.predictor.bounded:
            next_qvel = torch.clamp(next_qvel, -self._velocity_limit, self._velocity_limit)
        if self.activation is None:
            return torch.cat([next_qpos, next_qvel], dim=-1)
        return torch.cat([next_qpos, next_qvel, self.activation(action, act)], dim=-1)

    def driven(self, state: State, action: Action) -> tuple[State, Action]:
        """A state without its activations, and the action with them as further controls: what the parts see."""
        if self.activation is None:
            return state, action
        layout = self.facts.layout
        return state[..., layout.motion], torch.cat([action, state[..., layout.act]], dim=-1)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """See `LearnedModel`: predictor, constraints within it, and correctors."""
        parts: dict[str, nn.Module] = {"predictor": self.predictor}
        if self.predictor.constraints is not None:
            parts["constraints"] = self.predictor.constraints
        return parts | {f"corrector/{index}": corrector for index, corrector in enumerate(self.correctors)}

    def use_parts(self, names: Collection[str]) -> None:
        """See `LearnedModel`: correctors after the last that a stage has named are zero, and cost nothing so."""
        self.active_correctors = sum(f"corrector/{index}" in names for index in range(len(self.correctors)))

    def fit_scales(self, windows: Windows) -> None:
        """See `LearnedModel`: how activations follow their controls, from transitions."""
        states, actions = (part.cpu() for part in windows.spread(_ACTIVATION_SAMPLE, 1))
        self.fit_activations(states[:, 0], actions[:, 0], states[:, 1])

    def fit_activations(self, state: State, action: Action, next_state: State) -> None:
        """Finds how activations follow their controls, from transitions; where there are none, does nothing."""
        if self.activation is not None:
            layout = self.facts.layout
            self.activation.fit(action, state[..., layout.act], next_state[..., layout.act])

    def solve(self, names: Collection[str], windows: Windows, validation_error: Callable[[], float]) -> str:
        """See `LearnedModel`: what explains single steps best, of an articulated predictor."""
        from mosim.models.mosim.identification.solving import solve  # It solves for the parts of this class.

        return solve(self, names, windows, validation_error)
