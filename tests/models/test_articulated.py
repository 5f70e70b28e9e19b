"""The articulated predictor against MuJoCo's own matrices, forces and steps."""

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms import (
    EVERY_JOINT,
    IN_A_FLUID,
    PENDULUM,
    SERVOS,
    SERVOS_IN_EULERS_STEP,
    WELDED_AND_MASSLESS,
    compiled,
)
from mosim.models import ConstraintsConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import SystemFacts, read_facts
from mosim.tasks import load_task
from true_mechanics import true_mechanics

CONFIG = NeuralSimulatorConfig(predictor="articulated", correctors=())
MECHANISMS = {
    "every joint": EVERY_JOINT,
    "pendulum": PENDULUM,
    "welded and massless": WELDED_AND_MASSLESS,
    "in a fluid": IN_A_FLUID,
    "servos": SERVOS,
    "servos in Euler's step": SERVOS_IN_EULERS_STEP,
}
FAST_TASKS = ("cartpole-swingup", "cheetah-run", "humanoid-walk", "stacker-stack_2")
SLOW_TASKS = (
    "acrobot-swingup", "ball_in_cup-catch", "finger-spin", "fish-swim", "hopper-hop", "humanoid_CMU-run", "lqr-lqr_6_2",
    "manipulator-bring_ball", "pendulum-swingup", "point_mass-easy", "reacher-easy", "swimmer-swimmer6", "walker-run",
)  # fmt: skip
SYSTEMS = [*MECHANISMS, *FAST_TASKS, *(pytest.param(task, marks=pytest.mark.slow) for task in SLOW_TASKS)]


def load(name: str) -> tuple[mujoco.MjModel, SystemFacts]:
    if name in MECHANISMS:
        return compiled(MECHANISMS[name])
    task = load_task(name)
    return task.model, task.facts


def simulator(facts: SystemFacts, config: NeuralSimulatorConfig = CONFIG) -> NeuralSimulator:
    return NeuralSimulator(facts, config, Statistics.neutral(facts))


def predictor_of(model: NeuralSimulator) -> ArticulatedPredictor:
    assert isinstance(model.predictor, ArticulatedPredictor)
    return model.predictor


def true_simulator(
    model: mujoco.MjModel, facts: SystemFacts, config: NeuralSimulatorConfig = CONFIG
) -> NeuralSimulator:
    learned = simulator(facts, config).double()
    predictor = predictor_of(learned)
    predictor.assign(true_mechanics(model, facts, predictor))
    return learned


def random_data(model: mujoco.MjModel, random: np.random.Generator, spread: float = 1.0) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:] = model.qpos0
    mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), spread)
    data.qvel[:] = 3 * random.normal(size=model.nv)
    lower, upper = np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, (-1.0, 1.0)).T
    data.ctrl[:] = random.uniform(lower, upper)
    mujoco.mj_forward(model, data)
    return data


@pytest.mark.parametrize("name", SYSTEMS)
def test_with_mujocos_numbers_inertia_and_bias_are_mujocos(name: str) -> None:
    model, facts = load(name)
    tree = predictor_of(true_simulator(model, facts)).tree
    random, inertia = np.random.default_rng(0), np.zeros((model.nv, model.nv))
    for _ in range(10):
        data = random_data(model, random)
        mujoco.mj_fullM(model, data, inertia)
        qpos, qvel = torch.from_numpy(data.qpos.copy()), torch.from_numpy(data.qvel.copy())
        placement = tree.motion(qpos)
        with torch.no_grad():
            found, bias = tree.inertia_matrix(placement).numpy(), tree.bias(placement, qvel).numpy()
        np.testing.assert_allclose(found, inertia, rtol=0, atol=1e-10 * np.abs(inertia).max())
        np.testing.assert_allclose(bias, data.qfrc_bias, rtol=0, atol=1e-9 * max(1.0, np.abs(data.qfrc_bias).max()))


def test_far_from_the_origin_no_digit_is_lost() -> None:
    model, facts = load("every joint")
    tree = predictor_of(true_simulator(model, facts)).float().tree
    data = random_data(model, np.random.default_rng(0))
    near, far = torch.from_numpy(data.qpos).float(), torch.from_numpy(data.qpos).float()
    near[:3], far[:3] = 0.0, torch.tensor([1024.0, -512.0, 256.0])
    matrices = [tree.inertia_matrix(tree.motion(qpos)) for qpos in (near, far)]
    torch.testing.assert_close(matrices[1], matrices[0], rtol=0, atol=2e-3)


# Without friction, tendons and equalities, free motion is all that a tree says.
@pytest.mark.parametrize(
    "name",
    [*MECHANISMS, "acrobot-swingup", "cheetah-run", "humanoid-walk", "pendulum-swingup", "swimmer-swimmer6"],
)
def test_with_mujocos_numbers_a_free_step_is_mujocos(name: str) -> None:
    model, facts = load(name)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    learned, random = true_simulator(model, facts), np.random.default_rng(1)
    for _ in range(10):
        data = random_data(model, random)
        state = torch.from_numpy(np.concatenate([data.qpos, data.qvel]))
        with torch.no_grad():
            found = learned.step(state, torch.from_numpy(data.ctrl.copy())).numpy()
        mujoco.mj_step(model, data)
        expected = np.concatenate([data.qpos, data.qvel])
        # The range of controls is held in single precision.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("name", ["cheetah-run", "welded and massless"])
def test_constraints_that_do_not_act_change_nothing(name: str) -> None:
    model, facts = load(name)
    free, held = (
        true_simulator(model, facts, CONFIG.model_copy(update={"constraints": constraints}))
        for constraints in (None, ConstraintsConfig())
    )
    state = torch.from_numpy(np.concatenate([model.qpos0, np.linspace(-1, 1, model.nv)]))
    state[1] += 3.0  # Above the floor.
    action = torch.full((facts.nu,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(held.step(state, action), free.step(state, action), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["cheetah-run", "every joint", "finger-spin", "in a fluid", "quadruped-walk", "servos"]
)
def test_the_first_model_reads_no_number_of_mass_or_force(name: str) -> None:
    model, facts = load(name)
    config = CONFIG.model_copy(update={"constraints": ConstraintsConfig()})
    first = simulator(facts, config).state_dict()
    random = np.random.default_rng(0)
    numbers = (
        "body_mass", "body_inertia", "body_ipos", "dof_armature", "dof_damping", "dof_friction", "dof_sol", "jnt_sol",
        "jnt_stiffness", "qpos_spring", "tendon_stiff", "tendon_damp", "tendon_lengthspring", "eq_sol",
        "actuator_gear", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "geom_friction", "geom_solref",
        "geom_solimp",
    )  # fmt: skip
    forbidden = [field for field in dir(model) if field.startswith(numbers)]
    assert {"dof_frictionloss", "eq_solref", "tendon_stiffness", "dof_solimp"} <= set(forbidden)
    for field in forbidden:
        values = getattr(model, field)
        # Where there is any dry friction is told.
        values[:] = values * random.uniform(0.5, 2.0, values.shape) + 0.01 * (field != "dof_frictionloss")
    model.opt.density, model.opt.viscosity = 3 * model.opt.density, 2 * model.opt.viscosity
    changed = read_facts(model, facts.name)
    assert changed.physics != facts.physics
    second = simulator(changed, config).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 3.0))
def test_whatever_is_learned_stays_physical(seed: int, size: float) -> None:
    _, facts = load("every joint")
    predictor = predictor_of(simulator(facts).double())
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in predictor.parameters():
            weight.add_(size * torch.randn_like(weight))
        mechanics = predictor.mechanics()
        factors = predictor.tree.factors
        inertia = predictor.tree.inertia_matrix(predictor.tree.motion(torch.randn(5, facts.nq, dtype=torch.float64)))
    # A product may round an eigenvalue to zero beside a huge one; the factor's diagonal may not.
    assert (factors.diagonal(dim1=-2, dim2=-1) > 0).all()
    for matrices in (mechanics.pseudo_inertia, inertia):
        assert (torch.linalg.eigvalsh(matrices).amin(-1) > -1e-12 * matrices.abs().amax((-1, -2))).all()
    assert all((values > 0).all() for values in (mechanics.armature, mechanics.damping, mechanics.stiffness))


def test_mechanics_assigned_are_those_learned() -> None:
    model, facts = load("welded and massless")
    predictor = predictor_of(true_simulator(model, facts))
    true = true_mechanics(model, facts, predictor)
    for found, expected in zip(predictor.mechanics(), true, strict=True):
        torch.testing.assert_close(found.detach(), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["every joint", "humanoid-walk"])
def test_every_number_learns_and_gradients_are_those_of_finite_differences(name: str) -> None:
    _, facts = load(name)
    config = CONFIG.model_copy(update={"constraints": ConstraintsConfig()})
    learned = simulator(facts, config).double()
    predictor = predictor_of(learned)
    torch.manual_seed(0)
    state = torch.randn(3, facts.state_size, dtype=torch.float64)
    state = torch.cat([learned.space.normalise(state[:, : facts.nq]), state[:, facts.nq :]], -1)
    action = torch.rand(3, facts.nu, dtype=torch.float64)

    def loss() -> torch.Tensor:
        force = predictor.smooth_acceleration(*learned.space.split(state), action)
        return (force / (1 + force.detach().abs())).sum()

    loss().backward()
    for weight in (*predictor.tree.parameters(), *predictor.joints.parameters()):
        if not weight.numel():
            continue  # Of tendons, where there are none.
        assert weight.grad is not None
        direction = torch.randn_like(weight)
        with torch.no_grad():
            losses = []
            for step in (1e-6, -2e-6):
                weight.add_(step * direction)
                losses.append(predictor.smooth_acceleration(*learned.space.split(state), action))
            weight.add_(1e-6 * direction)
            base = predictor.smooth_acceleration(*learned.space.split(state), action)
            slope = ((losses[0] - losses[1]) / 2e-6 / (1 + base.abs())).sum()
        assert (weight.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


def test_a_state_that_is_not_finite_raises_nothing_and_leaves_the_others_alone() -> None:
    model, facts = load("cheetah-run")
    learned = true_simulator(model, facts, CONFIG.model_copy(update={"constraints": ConstraintsConfig()})).float()
    states = torch.zeros(3, facts.state_size)
    states[1] = torch.nan
    after = learned.step(states, torch.zeros(3, facts.nu))
    assert not torch.isfinite(after[1]).all()
    torch.testing.assert_close(after[[0, 2]], learned.step(states[[0, 2]], torch.zeros(2, facts.nu)))


def test_beyond_the_data_nothing_is_clamped() -> None:
    _, facts = load("pendulum")
    statistics = Statistics.neutral(facts)
    statistics.velocity_limit[:] = 1.0
    learned = NeuralSimulator(facts, CONFIG, statistics)
    assert learned.step(torch.tensor([0.0, 50.0]), torch.zeros(0))[1] > 40
