"""The shape of a neural simulator: everything that decides which weights it has and how it integrates."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mosim.core.frozen import Frozen
from mosim.models.config import Knowledge, ModelConfig
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

if TYPE_CHECKING:
    from mosim.models.mosim.neural_simulator import NeuralSimulator

Activation = Literal["silu", "gelu", "tanh", "relu"]

CorrectorInput = Literal["limit_depth", "contacts"]

PredictorKind = Literal["rigid_body", "network", "articulated"]

TORCHDIFFEQ_FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams")
TORCHDIFFEQ_ADAPTIVE = ("dopri8", "dopri5", "bosh3", "fehlberg2", "adaptive_heun", "scipy_solver")
IntegratorMethod = Literal[
    "auto", "semi_implicit_euler", "constant_acceleration", "runge_kutta_4",
    "euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams",
    "dopri8", "dopri5", "bosh3", "fehlberg2", "adaptive_heun", "scipy_solver",
]  # fmt: skip


class NetworkConfig(Frozen):
    """A residual network."""

    width: int = Field(default=128, ge=1, description="Units of each hidden layer.")
    depth: int = Field(default=2, ge=0, description="Residual blocks after the first layer.")
    activation: Activation = Field(default="silu", description="Activation function.")


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


class IntegratorConfig(Frozen):
    """How the acceleration becomes the next state."""

    method: IntegratorMethod = Field(
        default="auto",
        description="semi_implicit_euler (one network call per step; MuJoCo's default), constant_acceleration (one "
        "call; positions to second order), runge_kutta_4 (four calls; MuJoCo's RK4), or the name of any "
        "torchdiffeq method. auto is semi_implicit_euler unless MuJoCo integrates with RK4; then it is "
        "runge_kutta_4 for models with constraints, whose forces jump within a step, and for articulated "
        "models, and constant_acceleration for all others.",
    )
    adjoint: bool = Field(
        default=False, description="Differentiate torchdiffeq methods with the adjoint ODE, in constant memory."
    )
    rtol: float = Field(
        default=1e-7, gt=0, description="Relative tolerance of adaptive methods; the default is torchdiffeq's."
    )
    atol: float = Field(
        default=1e-9, gt=0, description="Absolute tolerance of adaptive methods; the default is torchdiffeq's."
    )
    substeps: int = Field(default=1, ge=1, description="Steps of a fixed-step torchdiffeq method per physics step.")


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
    constraints: ConstraintsConfig | None = Field(
        default=None, description="Contacts and joint limits as constraint forces. If omitted, correctors learn them."
    )
    correctors: tuple[CorrectorConfig, ...] = Field(
        default=(CorrectorConfig(),), description="Residual accelerations eps_k(q, v, u), in the order of their stages."
    )
    integrator: IntegratorConfig = Field(
        default=IntegratorConfig(), description="How accelerations become the next state."
    )

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


def resolve_integrator(method: IntegratorMethod, facts: SystemFacts, exact: bool) -> str:
    """The method that `auto` stands for on a system; any other name is itself.

    Args:
      method: of the config.
      facts: of the system.
      exact: whether the stages of MuJoCo's own method show in the result: of constraints, and of a tree of masses.
    """
    if method != "auto":
        return method
    if facts.integrator != "RK4":
        return "semi_implicit_euler"
    return "runge_kutta_4" if exact else "constant_acceleration"
