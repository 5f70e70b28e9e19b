"""The neural simulator: predictor and correctors under an integrator."""

import torch
from torch import Tensor, nn

from mosim.core.shapes import Action, Qpos, Qvel, State
from mosim.core.threads import single_threaded
from mosim.geometry import ConfigurationSpace
from mosim.models.interface import MarkovModel
from mosim.models.mosim.activation import ActivationDynamics
from mosim.models.mosim.config import ModelConfig
from mosim.models.mosim.corrector import Corrector
from mosim.models.mosim.integrators import make_integrator
from mosim.models.mosim.predictor import PREDICTORS, Predictor
from mosim.models.mosim.statistics import Statistics
from mosim.robots import SystemFacts


class NeuralSimulator(MarkovModel):
    """`dv/dt = M(q) [b(q, v) + tau(u)] + sum_k eps_k(q, v, u)`, integrated over physics steps.

    States and actions are raw at every border; they are standardised inside.

    Attributes:
      config: what decides the weights' shapes and the integrator.
      statistics: the scales taken from the training data.
      predictor, correctors: the parts that stages train. Activations of actuators are further controls to them.
      activation: how these follow their controls; None where no actuator has one.
      active_correctors: how many correctors take part; a stage that trains an earlier part leaves later ones out, which
        saves their time and changes nothing, since an untrained corrector is zero.
      integrator: from accelerations to the next state.
      nfe: calls of the acceleration so far, to tell what an integrator costs.
    """

    predictor: Predictor
    _action_middle: Tensor
    _action_scale: Tensor
    _velocity_scale: Tensor
    _velocity_limit: Tensor
    _acceleration_std: Tensor
    _acceleration_limit: Tensor

    def __init__(self, facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> None:
        super().__init__(facts)
        self.config, self.knowledge = config, config.knowledge
        self.statistics = statistics
        self.space = ConfigurationSpace(facts.joints)
        driven = facts.driven
        self.activation = ActivationDynamics(facts) if facts.activations else None
        self.predictor = PREDICTORS[config.predictor](driven, config, statistics)
        self.correctors = nn.ModuleList(Corrector(driven, part, statistics) for part in config.correctors)
        self.active_correctors = len(self.correctors)
        self.nfe = 0
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

    def fit_activations(self, state: State, action: Action, next_state: State) -> None:
        """Finds how activations follow their controls, from transitions; where there are none, does nothing."""
        if self.activation is not None:
            layout = self.facts.layout
            self.activation.fit(action, state[..., layout.act], next_state[..., layout.act])
