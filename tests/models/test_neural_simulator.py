import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms import EVERY_JOINT, compiled
from mosim.models import (
    ConstraintsConfig,
    CorrectorConfig,
    IntegratorConfig,
    NetworkConfig,
    NeuralSimulator,
    NeuralSimulatorConfig,
    Statistics,
)
from mosim.models.mosim.predictor import RigidBodyPredictor
from mosim.tasks import load_system

_, FACTS = compiled(EVERY_JOINT)
SMALL = NetworkConfig(width=16, depth=1)
CONFIG = NeuralSimulatorConfig(
    inertia=SMALL, bias=SMALL, correctors=(CorrectorConfig(network=SMALL), CorrectorConfig(network=SMALL, inputs=()))
)


def simulator(config: NeuralSimulatorConfig = CONFIG, seed: int = 0) -> NeuralSimulator:
    torch.manual_seed(seed)
    statistics = Statistics.neutral(FACTS)
    model = NeuralSimulator(FACTS, config, statistics)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


def random_states(count: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    states = torch.randn(count, FACTS.state_size, generator=random)
    return torch.cat([simulator().space.normalise(states[:, : FACTS.nq]), states[:, FACTS.nq :]], dim=-1)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), size=st.floats(1e-3, 1e2))
def test_inverse_inertia_is_symmetric_positive_definite(seed: int, size: float) -> None:
    model = simulator(seed=seed % 7).double()
    qpos = size * torch.randn(4, FACTS.nq, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    predictor = model.predictor
    assert isinstance(predictor, RigidBodyPredictor)
    inertia = predictor.inverse_inertia(model.space.normalise(qpos))
    # To the last digits: in which order a product of matrices is summed up depends on the processor.
    rounding = 100 * torch.finfo(torch.float64).eps
    torch.testing.assert_close(inertia, inertia.mT, rtol=0.0, atol=rounding * inertia.abs().max().item())
    assert torch.linalg.eigvalsh(inertia).min() > -1e-9 * inertia.abs().max()
    # An eigenvalue may round to zero beside a huge one; the factor's diagonal, and so the determinant, may not.
    diagonal = predictor.triangle(predictor.inertia(predictor.positions(qpos))).diagonal(dim1=-2, dim2=-1)
    assert diagonal.min() > 0


def test_predictor_is_the_inverse_inertia_times_the_force() -> None:
    model = simulator().double()
    state = random_states(5).double()
    qpos, qvel = model.space.split(state)
    action = torch.zeros(5, FACTS.nu, dtype=torch.float64)
    predictor = model.predictor
    assert isinstance(predictor, RigidBodyPredictor)
    assert predictor.actuation is not None
    force = predictor.bias(torch.cat([predictor.positions(qpos), qvel], -1)) + predictor.actuation(action)
    expected = (predictor.inverse_inertia(qpos) @ force.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(predictor(qpos, qvel, qvel, action), expected)


def test_untrained_correctors_change_nothing() -> None:
    torch.manual_seed(0)
    model = NeuralSimulator(FACTS, CONFIG, Statistics.neutral(FACTS))
    states, actions = random_states(8), torch.zeros(8, FACTS.nu)
    with_correctors = model.step(states, actions)
    model.active_correctors = 0
    assert torch.equal(with_correctors, model.step(states, actions))


def test_cyclic_coordinates_change_no_acceleration_where_the_drawing_is_read() -> None:
    reading = {"constraints": ConstraintsConfig(), "correctors": (CorrectorConfig(network=SMALL),) * 2}
    model = simulator(CONFIG.model_copy(update=reading))
    states, actions = random_states(8), torch.zeros(8, FACTS.nu)
    assert FACTS.cyclic == (0, 1, 2)  # Without contacts not even the height matters.
    moved = states.clone()
    moved[:, :3] += 100.0
    qpos, qvel = model.space.split(states)
    assert torch.equal(
        model.acceleration(qpos, qvel, actions), model.acceleration(model.space.split(moved)[0], qvel, actions)
    )


def test_opposite_quaternions_are_one_orientation() -> None:
    model = simulator()
    states, actions = random_states(8), torch.zeros(8, FACTS.nu)
    flipped = states.clone()
    flipped[:, 3:7] *= -1
    (qpos, qvel), (other, _) = model.space.split(states), model.space.split(flipped)
    torch.testing.assert_close(model.acceleration(qpos, qvel, actions), model.acceleration(other, qvel, actions))


@pytest.mark.parametrize("method", ["semi_implicit_euler", "constant_acceleration", "rk4", "dopri5"])
def test_step_and_rollout_agree_for_any_batch_shape(method: str) -> None:
    model = simulator(CONFIG.model_copy(update={"integrator": IntegratorConfig.model_validate({"method": method})}))
    states = random_states(6).reshape(2, 3, -1)
    actions = 0.1 * torch.randn(2, 3, 4, FACTS.nu, generator=torch.Generator().manual_seed(1))
    rollout = model.rollout(states, actions)
    assert rollout.shape == (2, 3, 4, FACTS.state_size)
    state = states
    for step in range(4):
        state = model.step(state, actions[..., step, :])
    torch.testing.assert_close(rollout[..., -1, :], state)
    alone = model.rollout(states[1, 2], actions[1, 2])
    torch.testing.assert_close(alone, rollout[1, 2], atol=2e-4, rtol=1e-4)


def test_gradients_reach_every_trained_weight_and_the_action() -> None:
    model = simulator()
    actions = torch.zeros(6, 3, FACTS.nu, requires_grad=True)
    model.rollout(random_states(6), actions).square().sum().backward()
    assert actions.grad is not None
    assert actions.grad.abs().sum() > 0
    assert all(weight.grad is not None for weight in model.parameters())


def test_statistics_measure_what_they_say() -> None:
    system = load_system("pendulum-swingup")
    random = np.random.default_rng(0)
    states = random.normal([1.0, 0.0], [0.5, 2.0], (100_000, 2))
    change = random.normal(0, [0.01, 0.3], (100_000, 2))
    statistics = Statistics.of(system.facts, states, states + change)
    assert statistics.qpos_mean.item() == pytest.approx(1.0, abs=0.01)
    assert statistics.qpos_std.item() == pytest.approx(0.5, rel=0.02)
    assert statistics.velocity_std.item() == pytest.approx(2.0, rel=0.02)
    assert statistics.displacement_std.item() == pytest.approx(0.01, rel=0.02)
    assert statistics.acceleration_std.item() == pytest.approx(0.3 / system.facts.timestep, rel=0.02)


def test_a_dimension_that_never_moves_is_not_divided_by_zero() -> None:
    states = np.zeros((10, FACTS.state_size))
    states[:, [3, 7]] = 1.0
    statistics = Statistics.of(FACTS, states, states)
    assert torch.equal(statistics.acceleration_std, torch.ones(FACTS.nv))


def test_a_copy_predicts_the_same() -> None:
    model = simulator()
    twin = copy.deepcopy(model)
    states, actions = random_states(3), torch.zeros(3, FACTS.nu)
    assert torch.equal(model.step(states, actions), twin.step(states, actions))
