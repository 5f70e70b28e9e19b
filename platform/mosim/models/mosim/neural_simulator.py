"""The neural simulator: predictor and correctors under an integrator."""

from collections.abc import Callable, Collection

import torch
from torch import nn

from mosim.core.shapes import Action, Qpos, Qvel, State
from mosim.core.threads import single_threaded
from mosim.models.acceleration_model import AccelerationModel
from mosim.models.interface import MarkovModel
from mosim.models.learned import Windows
from mosim.models.mosim.config import NeuralSimulatorConfig
from mosim.models.mosim.corrector import Corrector
from mosim.models.mosim.predictor import PREDICTORS, Predictor
from mosim.models.parts.sizes import width_for
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class NeuralSimulator(MarkovModel, AccelerationModel):
    """`dv/dt = M(q) [b(q, v) + tau(u)] + sum_k eps_k(q, v, u)`, integrated over physics steps.

    Attributes:
      predictor, correctors: the parts that stages train. Activations of actuators are further controls to them.
      active_correctors: how many correctors take part; a stage that trains an earlier part leaves later ones out, which
        saves their time and changes nothing, since an untrained corrector is zero.
    """

    config: NeuralSimulatorConfig
    predictor: Predictor

    def __init__(self, facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> None:
        driven = facts.driven
        shape = config if config.parameters is None else _of_size(facts, config, statistics)
        predictor = PREDICTORS[config.predictor](driven, shape, statistics)
        exact = predictor.constrained or not predictor.bounded
        super().__init__(facts, config, statistics, config.integrator, exact)
        self.predictor = predictor
        self.correctors = nn.ModuleList(Corrector(driven, part, statistics) for part in shape.correctors)
        self.active_correctors = len(self.correctors)

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
        return self.bounded(total) if self.predictor.bounded else total * self._acceleration_std

    @single_threaded
    def step(self, carry: State, action: Action) -> State:
        """See `DynamicsModel`."""
        return self.integrated(carry, action, self.acceleration, self.predictor.bounded)

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

    def solve(self, names: Collection[str], windows: Windows, validation_error: Callable[[], float]) -> str:
        """See `LearnedModel`: what explains single steps best, of an articulated predictor."""
        from mosim.models.mosim.identification.solving import solve  # It solves for the parts of this class.

        return solve(self, names, windows, validation_error)


_SCALE = 64
"""Parts of the factor by which widths are multiplied."""


def _of_size(facts: SystemFacts, config: NeuralSimulatorConfig, statistics: Statistics) -> NeuralSimulatorConfig:
    """The config, as wide as its number of weights says."""
    plain = config.model_copy(update={"parameters": None})

    def make(width: int) -> nn.Module:
        return NeuralSimulator(facts, plain.scaled(width / _SCALE), statistics)

    return plain.scaled(width_for(config.parameters or 0, make) / _SCALE)
