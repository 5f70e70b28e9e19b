"""The shape of a neural simulator: everything that decides which weights it has and how it integrates."""

from typing import Literal

from pydantic import Field

from mosim.core.frozen import Frozen
from mosim.robots import SystemFacts

Activation = Literal["silu", "gelu", "tanh", "relu"]

CorrectorInput = Literal["limit_depth", "contacts"]

PredictorKind = Literal["rigid_body", "network", "articulated"]

Knowledge = Literal["arrays", "geometry", "tree"]
"""How much a simulator is told of a robot before it sees any data; see `ModelConfig.knowledge`."""

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
    activation: Activation = Field(default="silu", description="Nonlinearity.")


class CorrectorConfig(Frozen):
    """A residual acceleration beside the predictor's."""

    network: NetworkConfig = Field(default=NetworkConfig(), description="Its shape.")
    inputs: tuple[CorrectorInput, ...] = Field(
        default=("limit_depth",),
        description="What it sees beyond state and action. limit_depth: how deep each joint stands in its limit. "
        "contacts: how far collision shapes are from the floor and one another, and how they move where they touch.",
    )


class ConstraintsConfig(Frozen):
    """Forces of contacts and joint limits, along directions that follow from the geometry."""

    contacts: int = Field(
        default=32, ge=0, description="Contacts at one time at most, the deepest; none where the data show none."
    )
    searches: int = Field(
        default=20, ge=1, description="Newton's steps at most in search of the constraints that push."
    )


class IntegratorConfig(Frozen):
    """How the acceleration becomes the next state."""

    method: IntegratorMethod = Field(
        default="auto",
        description="semi_implicit_euler (one network call a step; MuJoCo's own default), constant_acceleration (one "
        "call; positions to second order), runge_kutta_4 (four calls; MuJoCo's RK4), or any torchdiffeq method by its "
        "name. auto is semi_implicit_euler unless MuJoCo integrates by RK4; then runge_kutta_4 where the model has "
        "constraints, whose forces jump within a step, or is articulated, and constant_acceleration where it is not.",
    )
    adjoint: bool = Field(
        default=False, description="Differentiate torchdiffeq methods by the adjoint ODE, in constant memory."
    )
    rtol: float = Field(
        default=1e-7, gt=0, description="Relative tolerance of adaptive methods; torchdiffeq's default."
    )
    atol: float = Field(
        default=1e-9, gt=0, description="Absolute tolerance of adaptive methods; torchdiffeq's default."
    )
    substeps: int = Field(default=1, ge=1, description="Steps of a fixed torchdiffeq method in a physics step.")


class ModelConfig(Frozen):
    """A neural simulator."""

    predictor: PredictorKind = Field(
        default="rigid_body",
        description="rigid_body: M(q) [b(q, v) + tau(u)], of networks. network: one residual network of state and "
        "action, as large, to compare with. articulated: a tree of masses on the robot's drawing, with motors, damping "
        "and springs at its joints, and no network.",
    )
    inertia: NetworkConfig = Field(
        default=NetworkConfig(), description="L(q), whose product L L^T is the inverse inertia."
    )
    bias: NetworkConfig = Field(default=NetworkConfig(), description="b(q, v): gravity, Coriolis, springs and damping.")
    actuation: NetworkConfig = Field(default=NetworkConfig(width=32, depth=0), description="tau(u): what actions add.")
    constraints: ConstraintsConfig | None = Field(
        default=None, description="Contacts and joint limits as constraint forces; without, correctors learn them."
    )
    correctors: tuple[CorrectorConfig, ...] = Field(
        default=(CorrectorConfig(),), description="Residual accelerations eps_k(q, v, u), in the order of their stages."
    )
    integrator: IntegratorConfig = Field(default=IntegratorConfig(), description="From accelerations to states.")

    @property
    def kind(self) -> str:
        """What it is made of, in a few words, such as `rigid_body + constraints + corrector`."""
        parts: list[str] = [self.predictor]
        parts += ["constraints"] * (self.constraints is not None)
        parts += ["corrector"] * len(self.correctors)
        return " + ".join(parts)

    @property
    def knowledge(self) -> Knowledge:
        """How much its parts are told of the robot beside the data; each level has what is told at those before it.

        arrays: the kind of each joint, so that angles and quaternions are known from lengths; the ranges of controls
        and of actuators' internal states, and whose control these follow; and how the data were stepped: time step and
        MuJoCo's integrator.
        geometry: the drawing: how links hang together, the shapes on them, which of these may touch, joint ranges; and
        which coordinates no force depends on and whether the heading matters, found by moving them in MuJoCo.
        tree: that links have masses, joints armature, damping and springs, and controls gears; and gravity. None of
        the robot's own numbers is read at any level.
        """
        if self.predictor == "articulated":
            return "tree"
        constrained = self.constraints is not None and self.predictor != "network"
        seen = any(corrector.inputs for corrector in self.correctors)
        return "geometry" if constrained or seen else "arrays"


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
