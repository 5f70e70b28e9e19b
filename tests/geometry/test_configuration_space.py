import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import EVERY_JOINT, compiled
from mosim.geometry import ConfigurationSpace, rotation_matrices
from mosim.geometry.configuration_space import quaternion_exponential, quaternion_logarithm

MODEL, FACTS = compiled(EVERY_JOINT)
SPACE = ConfigurationSpace(FACTS.joints)


def random_qpos(random: np.random.Generator) -> np.ndarray:
    qpos = MODEL.qpos0.copy()
    mujoco.mj_integratePos(MODEL, qpos, random.normal(0, 2, MODEL.nv), 1.0)
    return qpos


@pytest.mark.parametrize("size", [1e-9, 1e-4, 1e-2, 1.0, 10.0])
def test_integrate_is_mj_integratepos(size: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        qpos, velocity = random_qpos(random), random.normal(0, size, MODEL.nv)
        expected = qpos.copy()
        mujoco.mj_integratePos(MODEL, expected, velocity, 0.3)
        moved = SPACE.integrate(torch.tensor(qpos), torch.tensor(0.3 * velocity)).numpy()
        np.testing.assert_allclose(moved, expected, atol=1e-12)


@pytest.mark.parametrize("size", [1e-9, 1e-4, 1e-2, 0.5])
def test_difference_is_mj_differentiatepos(size: float) -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        start = random_qpos(random)
        end = start.copy()
        mujoco.mj_integratePos(MODEL, end, random.normal(0, size, MODEL.nv), 1.0)
        expected = np.empty(MODEL.nv)
        mujoco.mj_differentiatePos(MODEL, expected, 1.0, start, end)
        found = SPACE.difference(torch.tensor(start), torch.tensor(end)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_derivative_is_the_limit_of_integrate() -> None:
    random = np.random.default_rng(2)
    qpos, velocity = torch.tensor(random_qpos(random)), torch.tensor(random.normal(size=MODEL.nv))
    step = 1e-6
    limit = (SPACE.integrate(qpos, step * velocity) - SPACE.integrate(qpos, -step * velocity)) / (2 * step)
    torch.testing.assert_close(SPACE.derivative(qpos, velocity), limit, atol=1e-8, rtol=0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
def test_quaternions_keep_unit_norm(rotation: list[float]) -> None:
    quaternion = quaternion_exponential(torch.tensor(rotation, dtype=torch.float64))
    assert abs(quaternion.norm().item() - 1) < 1e-12


@given(st.lists(st.floats(-1.8, 1.8), min_size=3, max_size=3))
def test_logarithm_undoes_exponential(rotation: list[float]) -> None:
    vector = torch.tensor(rotation, dtype=torch.float64)
    vector = vector * min(1.0, 3.1 / max(vector.norm().item(), 1e-9))
    torch.testing.assert_close(quaternion_logarithm(quaternion_exponential(vector)), vector, atol=1e-8, rtol=0)


def test_rollout_of_many_steps_keeps_unit_norm_in_float32() -> None:
    qpos = torch.tensor(random_qpos(np.random.default_rng(3)), dtype=torch.float32)
    velocity = torch.randn(1000, MODEL.nv, generator=torch.Generator().manual_seed(0))
    for row in velocity:
        qpos = SPACE.integrate(qpos, 0.01 * row)
    assert abs(qpos[3:7].norm().item() - 1) < 1e-4


def test_gradients_are_finite_without_motion() -> None:
    still = torch.zeros(MODEL.nv, requires_grad=True)
    qpos = torch.tensor(MODEL.qpos0, dtype=torch.float32)
    moved = SPACE.integrate(qpos, still)
    SPACE.difference(qpos, moved).square().sum().backward()
    assert still.grad is not None
    assert torch.isfinite(still.grad).all()


def test_rotation_matrix_is_mujocos() -> None:
    random = np.random.default_rng(4)
    quaternion = random.normal(size=4)
    quaternion /= np.linalg.norm(quaternion)
    expected = np.empty(9)
    mujoco.mju_quat2Mat(expected, quaternion)
    np.testing.assert_allclose(rotation_matrices(torch.tensor(quaternion)).flatten(-2).numpy(), expected, atol=1e-12)
