"""The shape of a neural simulator: everything that decides which weights it has and how it integrates."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mosim.core.frozen import Frozen
from mosim.models.config import Knowledge, ModelConfig
from mosim.models.parts.integrators import IntegratorConfig
from mosim.models.parts.networks import NetworkConfig
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

if TYPE_CHECKING:
    from mosim.models.mosim.neural_simulator import NeuralSimulator

CorrectorInput = Literal["limit_depth", "contacts"]

PredictorKind = Literal["rigid_body", "network", "articulated"]


class CorrectorConfig(Frozen):
    """A residual acceleration that is added to the predictor's."""

    network: NetworkConfig = Field(default=NetworkConfig(), description="Network of the corrector.")
    inputs: tuple[CorrectorInput, ...] = Field(
        default=("limit_depth",),
        description="Inputs besides state and action. limit_depth: how far each joint is beyond its limit. contacts: "
        "distances of collision shapes from the floor and from one another, and their relative motion "
        "where they touch.",
    )


class ConstraintsConfig(Frozen):
    """Forces of contacts and joint limits, along directions that follow from the geometry."""

    contacts: int = Field(
        default=32,
        ge=0,
        description="Maximum number of simultaneous contacts; the deepest ones are used. If the data show no "
        "contacts, none are modelled.",
    )
    searches: int = Field(
        default=20, ge=1, description="Maximum number of Newton steps in the search for the active constraints."
    )


class NeuralSimulatorConfig(ModelConfig):
    """A neural simulator."""

    kind: Literal["mosim"] = Field(default="mosim", description="A neural simulator: predictor and correctors.")
    predictor: PredictorKind = Field(
        default="rigid_body",
        description="rigid_body: M(q) [b(q, v) + tau(u)], computed by networks. network: one residual network of "
        "state and action, of the same size, for comparison. articulated: a kinematic tree of masses "
        "with the robot's geometry, and with motors, damping and springs at its joints; it has no "
        "network.",
    )
    inertia: NetworkConfig = Field(
        default=NetworkConfig(), description="L(q), whose product L L^T is the inverse of the inertia matrix."
    )
    bias: NetworkConfig = Field(default=NetworkConfig(), description="b(q, v): gravity, Coriolis, springs and damping.")
    actuation: NetworkConfig = Field(
        default=NetworkConfig(width=32, depth=0), description="tau(u): what actions contribute."
    )
    parameters: int | None = Field(
        default=None,
        ge=100,
        description="Number of weights. If given, the widths of all networks are multiplied by one factor for it.",
    )
    constraints: ConstraintsConfig | None = Field(
        default=None, description="Contacts and joint limits as constraint forces. If omitted, correctors learn them."
    )
    correctors: tuple[CorrectorConfig, ...] = Field(
        default=(CorrectorConfig(),), description="Residual accelerations eps_k(q, v, u), in the order of their stages."
    )
    integrator: IntegratorConfig = Field(
        default=IntegratorConfig(), description="How accelerations become the next state."
    )

    def scaled(self, factor: float) -> "NeuralSimulatorConfig":
        """The same with every network's width multiplied, 1 at least."""

        def scale(network: NetworkConfig) -> NetworkConfig:
            return network.model_copy(update={"width": max(1, round(factor * network.width))})

        correctors = tuple(each.model_copy(update={"network": scale(each.network)}) for each in self.correctors)
        networks = {name: scale(getattr(self, name)) for name in ("inertia", "bias", "actuation")}
        return self.model_copy(update={**networks, "correctors": correctors})

    @property
    def structure(self) -> str:
        """See `ModelConfig`."""
        parts: list[str] = [self.predictor]
        parts += ["constraints"] * (self.constraints is not None)
        parts += ["corrector"] * len(self.correctors)
        return " + ".join(parts)

    @property
    def knowledge(self) -> Knowledge:
        """See `ModelConfig`."""
        if self.predictor == "articulated":
            return "tree"
        seen = any(corrector.inputs for corrector in self.correctors)
        return "geometry" if self._constrained or seen else "arrays"

    @property
    def part_names(self) -> tuple[str, ...]:
        """See `ModelConfig`: the predictor is all of it, constraints are its contacts and limits alone."""
        constraints = ("constraints",) if self._constrained else ()
        return ("predictor", *constraints, *(f"corrector/{index}" for index in range(len(self.correctors))))

    @property
    def solvable_parts(self) -> tuple[str, ...]:
        """See `ModelConfig`: masses, forces, contacts and limits of a tree."""
        return ("predictor", "constraints") if self.predictor == "articulated" else ()

    @property
    def _constrained(self) -> bool:
        return self.constraints is not None and self.predictor != "network"

    def build(self, facts: SystemFacts, statistics: Statistics) -> "NeuralSimulator":
        """See `ModelConfig`."""
        from mosim.models.mosim.neural_simulator import NeuralSimulator  # It takes its config from here.

        return NeuralSimulator(facts, self, statistics)
