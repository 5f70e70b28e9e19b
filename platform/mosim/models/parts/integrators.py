"""Integrators: from an acceleration to the next state."""

import functools
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn

from mosim.core.frozen import Frozen
from mosim.geometry import ConfigurationSpace
from mosim.robots import SystemFacts

TORCHDIFFEQ_FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams")
TORCHDIFFEQ_ADAPTIVE = ("dopri8", "dopri5", "bosh3", "fehlberg2", "adaptive_heun", "scipy_solver")
IntegratorMethod = Literal[
    "auto", "semi_implicit_euler", "constant_acceleration", "runge_kutta_4",
    "euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams",
    "dopri8", "dopri5", "bosh3", "fehlberg2", "adaptive_heun", "scipy_solver",
]  # fmt: skip

Acceleration = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(qpos, qvel, action) -> dv/dt`, batched over leading dimensions."""


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


@runtime_checkable
class Integrator(Protocol):
    """One physics step of `timestep` seconds under a held action."""

    def __call__(self, acceleration: Acceleration, qpos: Tensor, qvel: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next `qpos` and `qvel`."""
        ...


def make_integrator(config: IntegratorConfig, facts: SystemFacts, exact: bool = False) -> Integrator:
    """The integrator that a config names, for a system's time step and joints; `exact` decides what `auto` is."""
    method = resolve_integrator(config.method, facts, exact)
    space = ConfigurationSpace(facts.joints)
    if method in _OWN:
        return functools.partial(_OWN[method], space, facts.timestep)
    return TorchdiffeqIntegrator(method, config, space, facts.timestep)


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


def semi_implicit_euler(
    space: ConfigurationSpace, timestep: float, acceleration: Acceleration, qpos: Tensor, qvel: Tensor, action: Tensor
) -> tuple[Tensor, Tensor]:
    """`v' = v + h a`, `q' = q (+) h v'`: MuJoCo's own default. First order."""
    next_qvel = qvel + timestep * acceleration(qpos, qvel, action)
    return space.integrate(qpos, timestep * next_qvel), next_qvel


def constant_acceleration(
    space: ConfigurationSpace, timestep: float, acceleration: Acceleration, qpos: Tensor, qvel: Tensor, action: Tensor
) -> tuple[Tensor, Tensor]:
    """`v' = v + h a`, `q' = q (+) h (v + v') / 2`: exact where the acceleration does not change within the step."""
    next_qvel = qvel + timestep * acceleration(qpos, qvel, action)
    return space.integrate(qpos, 0.5 * timestep * (qvel + next_qvel)), next_qvel


def runge_kutta_4(
    space: ConfigurationSpace, timestep: float, acceleration: Acceleration, qpos: Tensor, qvel: Tensor, action: Tensor
) -> tuple[Tensor, Tensor]:
    """The classic fourth-order method, as MuJoCo's RK4; torchdiffeq's `rk4` is the 3/8 rule, with other stages.

    The stages matter where the acceleration has a jump within the step, as at a joint's limit.
    """
    speeds, rates = [qvel], [acceleration(qpos, qvel, action)]
    for share in (0.5, 0.5, 1.0):
        span = share * timestep
        speed = qvel + span * rates[-1]
        rates.append(acceleration(space.integrate(qpos, span * speeds[-1]), speed, action))
        speeds.append(speed)
    mean_speed, mean_rate = (
        (first + 2 * (second + third) + last) / 6 for first, second, third, last in (speeds, rates)
    )
    return space.integrate(qpos, timestep * mean_speed), qvel + timestep * mean_rate


_OWN = {
    "semi_implicit_euler": semi_implicit_euler,
    "constant_acceleration": constant_acceleration,
    "runge_kutta_4": runge_kutta_4,
}


class _Flow(nn.Module):
    """The ODE of a state under one action, as torchdiffeq wants it."""

    def __init__(self, space: ConfigurationSpace, acceleration: Acceleration, action: Tensor) -> None:
        super().__init__()
        self._space, self._acceleration, self._action = space, acceleration, action

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        del time
        qpos, qvel = self._space.split(state)
        rate = self._acceleration(self._space.normalise(qpos), qvel, self._action)
        return torch.cat([self._space.derivative(qpos, qvel), rate], dim=-1)


class TorchdiffeqIntegrator:
    """Any method of torchdiffeq, with quaternions brought back to unit length after the step.

    Attributes:
      method: torchdiffeq's own name.
    """

    def __init__(self, method: str, config: IntegratorConfig, space: ConfigurationSpace, timestep: float) -> None:
        if method not in TORCHDIFFEQ_FIXED + TORCHDIFFEQ_ADAPTIVE:
            raise ValueError(f"{method!r} is not a method of torchdiffeq.")
        self.method = method
        self._space = space
        self._adjoint = config.adjoint
        self._timestep = timestep
        self._settings: dict = {"method": method, "rtol": config.rtol, "atol": config.atol}
        if method in TORCHDIFFEQ_FIXED:
            self._settings["options"] = {"step_size": timestep / config.substeps}
        elif method == "scipy_solver":
            self._settings["options"] = {"solver": "RK45"}

    def __call__(self, acceleration: Acceleration, qpos: Tensor, qvel: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """See `Integrator`."""
        from torchdiffeq import odeint, odeint_adjoint  # Which brings scipy, and most simulators have no need of it.

        flow = _Flow(self._space, acceleration, action)
        start = torch.cat([qpos, qvel], dim=-1)
        times = torch.tensor([0.0, self._timestep], dtype=start.dtype, device=start.device)
        if self._adjoint:
            # An acceleration may be a module or a module's bound method.
            owner = getattr(acceleration, "__self__", acceleration)
            learns = [weight for weight in getattr(owner, "parameters", list)() if weight.requires_grad]
            if action.requires_grad:
                learns.append(action)
            states = odeint_adjoint(flow, start, times, adjoint_params=tuple(learns), **self._settings)
        else:
            states = odeint(flow, start, times, **self._settings)
        next_qpos, next_qvel = self._space.split(states[-1])
        return self._space.normalise(next_qpos), next_qvel
