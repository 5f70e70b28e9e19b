"""Integrators against exact solutions: a pendulum by elliptic functions, and MuJoCo's own step."""

import mujoco
import numpy as np
import pytest
import torch
from scipy.special import ellipj, ellipk
from torch import Tensor, nn

from mechanisms import EVERY_JOINT, PENDULUM, compiled
from mosim.models import IntegratorConfig, make_integrator
from mosim.models.parts.integrators import TORCHDIFFEQ_ADAPTIVE, TORCHDIFFEQ_FIXED
from mosim.robots import SystemFacts

_, PENDULUM_FACTS = compiled(PENDULUM)

ORDERS = {
    "semi_implicit_euler": 1, "constant_acceleration": 1, "euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4,
    "runge_kutta_4": 4,
}  # fmt: skip


def pendulum(qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
    return -torch.sin(qpos)


def exact_pendulum(start: float, time: float) -> tuple[float, float]:
    """Angle and velocity of `x'' = -sin x`, released at rest from `start`."""
    modulus = np.sin(start / 2)
    sn, cn, _, _ = ellipj(ellipk(modulus**2) - time, modulus**2)
    return 2 * np.arcsin(modulus * sn), -2 * modulus * cn


def integrated(config: IntegratorConfig, steps: int, time: float, start: float) -> np.ndarray:
    facts = PENDULUM_FACTS.model_copy(update={"timestep": time / steps})
    integrator = make_integrator(config, facts)
    qpos, qvel = torch.full((1,), start, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for _ in range(steps):
        qpos, qvel = integrator(pendulum, qpos, qvel, torch.zeros(0))
    return np.array([qpos.item(), qvel.item()])


@pytest.mark.parametrize(("method", "order"), ORDERS.items())
def test_fixed_methods_reach_their_order(method: str, order: int) -> None:
    exact = np.array(exact_pendulum(2.0, 3.0))
    config = IntegratorConfig.model_validate({"method": method})
    coarse, fine = (np.linalg.norm(integrated(config, steps, 3.0, 2.0) - exact) for steps in (40, 80))
    assert np.log2(coarse / fine) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("method", TORCHDIFFEQ_ADAPTIVE)
def test_adaptive_methods_keep_their_tolerance(method: str) -> None:
    config = IntegratorConfig.model_validate({"method": method, "rtol": 1e-6, "atol": 1e-8})
    error = integrated(config, 3, 3.0, 2.0) - exact_pendulum(2.0, 3.0)
    assert np.abs(error).max() < 2e-4


def test_substeps_divide_a_fixed_step() -> None:
    whole = integrated(IntegratorConfig(method="rk4", substeps=4), 10, 3.0, 2.0)
    np.testing.assert_allclose(whole, integrated(IntegratorConfig(method="rk4"), 40, 3.0, 2.0), atol=1e-12)


class LearnedPendulum(nn.Module):
    """An acceleration with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([-1.0, -0.1, 0.5], dtype=torch.float64))

    def forward(self, qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
        return self.weights[0] * torch.sin(qpos) + self.weights[1] * qvel + self.weights[2] * action


@pytest.mark.parametrize("method", [m for m in TORCHDIFFEQ_FIXED + TORCHDIFFEQ_ADAPTIVE if m != "scipy_solver"])
def test_adjoint_gradients_are_the_direct_ones(method: str) -> None:
    facts = PENDULUM_FACTS.model_copy(update={"timestep": 0.02})
    # The adjoint is integrated backwards by the same method, so the two agree to the method's own order.
    substeps = {"euler": 100, "midpoint": 4, "heun2": 4}.get(method, 1)
    gradients = []
    for adjoint in (False, True):
        model = LearnedPendulum()
        action = torch.tensor([[0.7], [-0.2]], dtype=torch.float64, requires_grad=True)
        config = IntegratorConfig.model_validate({"method": method, "adjoint": adjoint, "substeps": substeps})
        integrator = make_integrator(config, facts)
        qpos = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
        state, velocity = qpos, torch.zeros(2, 1, dtype=torch.float64)
        for _ in range(3):
            state, velocity = integrator(model, state, velocity, action)
        (state.square().sum() + velocity.sum()).backward()
        gradients.append([model.weights.grad, action.grad, qpos.grad])
    for direct, adjoint in zip(*gradients, strict=True):
        torch.testing.assert_close(adjoint, direct, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("mujoco_integrator", "constrained", "method"),
    [
        ("Euler", False, "semi_implicit_euler"),
        ("Euler", True, "semi_implicit_euler"),
        ("RK4", False, "constant_acceleration"),
        ("RK4", True, "runge_kutta_4"),
    ],
)
def test_auto_follows_mujocos_integrator(mujoco_integrator: str, constrained: bool, method: str) -> None:
    facts: SystemFacts = PENDULUM_FACTS.model_copy(update={"integrator": mujoco_integrator})
    automatic, named = (
        make_integrator(IntegratorConfig.model_validate({"method": name}), facts, constrained)(
            pendulum, torch.ones(1), torch.ones(1), torch.zeros(0)
        )
        for name in ("auto", method)
    )
    assert automatic == named


@pytest.mark.parametrize(
    ("mujoco_integrator", "method"),
    [(mujoco.mjtIntegrator.mjINT_EULER, "semi_implicit_euler"), (mujoco.mjtIntegrator.mjINT_RK4, "runge_kutta_4")],
)
def test_true_accelerations_reproduce_mujocos_step(mujoco_integrator: int, method: str) -> None:
    """A system of free, ball, hinge and slide joints, undamped, with MuJoCo's acceleration plugged in."""
    model, facts = compiled(EVERY_JOINT)
    model.opt.integrator = mujoco_integrator
    data = mujoco.MjData(model)
    integrator = make_integrator(IntegratorConfig.model_validate({"method": method}), facts)

    def true_acceleration(qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
        data.qpos[:], data.qvel[:], data.ctrl[:] = qpos.numpy(), qvel.numpy(), action.numpy()
        mujoco.mj_forward(model, data)
        return torch.from_numpy(data.qacc.copy())

    random = np.random.default_rng(0)
    for _ in range(100):
        qpos = model.qpos0.copy()
        mujoco.mj_integratePos(model, qpos, random.normal(0, 0.4, model.nv), 1.0)
        qvel, action = random.normal(0, 2, model.nv), random.uniform(-1, 1, model.nu)
        predicted = integrator(true_acceleration, *map(torch.from_numpy, (qpos, qvel, action)))
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, qvel, action
        mujoco.mj_step(model, data)
        np.testing.assert_allclose(predicted[0].numpy(), data.qpos, atol=1e-6)
        np.testing.assert_allclose(predicted[1].numpy(), data.qvel, atol=1e-6)
