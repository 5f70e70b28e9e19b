"""Whether a linear solve on true transitions finds MuJoCo's own numbers."""

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite

from mechanisms import EVERY_JOINT, IN_A_FLUID, PENDULUM, SERVOS, SERVOS_IN_EULERS_STEP, WELDED_AND_MASSLESS, compiled
from mosim.models import NeuralSimulator, NeuralSimulatorConfig, Statistics, identify
from mosim.models.mosim.identification.force_balance import ForceBalance
from mosim.models.mosim.identification.free_rows import FreeRows
from mosim.models.mosim.identification.linear_estimate import LinearEstimate
from mosim.models.mosim.identification.mechanical_belief import MechanicalBelief
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.models.mosim.tree.servos import LOWER
from mosim.robots import SystemFacts, read_facts
from physics_steps import single_steps
from true_mechanics import true_mechanics

CONFIG = NeuralSimulatorConfig(predictor="articulated", correctors=())
MECHANISMS = {
    "every joint": EVERY_JOINT,
    "pendulum": PENDULUM,
    "welded and massless": WELDED_AND_MASSLESS,
    "in a fluid": IN_A_FLUID,
}
WITH_SERVOS = {"servos": SERVOS, "servos in Euler's step": SERVOS_IN_EULERS_STEP}
ON_THE_FLOOR = ("cheetah-run", "hopper-hop")


def load(name: str) -> tuple[mujoco.MjModel, SystemFacts]:
    if xml := {**MECHANISMS, **WITH_SERVOS}.get(name):
        return compiled(xml)
    domain, task = name.split("-")
    model = suite.load(domain, task).physics.model.ptr
    return model, read_facts(model, domain)


def simulator(facts: SystemFacts, states: torch.Tensor, next_states: torch.Tensor) -> NeuralSimulator:
    return NeuralSimulator(facts, CONFIG, Statistics.of(facts, states.numpy(), next_states.numpy()))


def predictor_of(model: NeuralSimulator) -> ArticulatedPredictor:
    assert isinstance(model.predictor, ArticulatedPredictor)
    return model.predictor


# MuJoCo's implicit integrators take drag at the end of the step, as a tree does with the damping of joints alone.
@pytest.mark.parametrize(
    ("name", "integrator"),
    [
        (name, integrator)
        for name in (*MECHANISMS, *ON_THE_FLOOR)
        for integrator in ("Euler", "implicitfast", "RK4")
        if (name, integrator) != ("in a fluid", "implicitfast")
    ],
)
def test_what_is_found_predicts_free_steps_to_rounding(name: str, integrator: str) -> None:
    model, _ = load(name)
    model.opt.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator.upper()}")
    facts = read_facts(model, "mechanism")
    # Within a step of RK4, what pushes one degree of freedom moves all, so few of these states are of use.
    states, actions, next_states = single_steps(model, 800, spread=0.3 if integrator == "RK4" else 1.0)
    learned = simulator(facts, states, next_states)
    identify(learned, states, actions, next_states)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    states, actions, next_states = single_steps(model, 50, seed=1)
    error = (learned.double().step(states, actions) - next_states).detach()
    # What is learned is kept in single precision.
    assert error.abs().max() < 1e-5 * next_states.abs().max()


@pytest.mark.parametrize("name", ["welded and massless", *ON_THE_FLOOR])
def test_numbers_that_can_be_told_are_mujocos(name: str) -> None:
    model, facts = load(name)
    states, actions, next_states = single_steps(model, 800)
    learned = simulator(facts, states, next_states)
    identify(learned, states, actions, next_states)
    predictor = predictor_of(learned)
    true, found = true_mechanics(model, facts, predictor), predictor.mechanics()
    # All forces of a tree could be larger by one factor: of each tree, that factor is taken from one number.
    trees = predictor.tree.motion.trees
    largest = [(trees == tree).nonzero()[true.gear[trees == tree].abs().amax(-1).argmax()] for tree in trees.unique()]
    if name == "welded and massless":  # Of the second tree nothing but armature is there to compare.
        largest[1] = (trees == 1).nonzero()[-1]
    for tree, dof in enumerate(largest):
        of_tree = trees == tree
        which = true.gear[dof].abs().argmax()
        actuated = bool(true.gear[dof].any())
        factor = true.gear[dof].flatten()[which] / found.gear[dof].flatten()[which] if actuated else None
        factor = true.armature[dof] / found.armature[dof] if factor is None else factor
        damped = of_tree & (true.damping > 0)
        torch.testing.assert_close((factor * found.damping)[damped], true.damping[damped], rtol=1e-4, atol=1e-6)
        scale = predictor.tree.scale.max().item()
        torch.testing.assert_close(factor * found.gear[of_tree], true.gear[of_tree], rtol=1e-4, atol=1e-5 * scale)
        if name != "welded and massless":
            held = of_tree & (true.armature > 0)
            torch.testing.assert_close((factor * found.armature)[held], true.armature[held], rtol=1e-3, atol=1e-6)
    springs = true.stiffness > 0
    if name == "cheetah-run":
        factor = true.gear.max() / found.gear.max()
        torch.testing.assert_close((factor * found.stiffness)[springs], true.stiffness[springs], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("task", ["cheetah-run", "hopper-hop", "humanoid-stand", "stacker-stack_2"])
def test_a_row_that_is_free_has_no_constraint_force(task: str) -> None:
    model, facts = load(task)
    model.eq_active0[:] = 0
    model.dof_frictionloss[:] = 0
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    qpos, forces = [], []
    for _ in range(200):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.5)
        data.qvel[:] = random.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        seen = [geom for pair in facts.skeleton.pairs for geom in (pair.first, pair.second)]
        assert seen
        rounds = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE)
        kinds = [model.geom_type[[contact.geom1, contact.geom2]].tolist() for contact in data.contact]
        boxes = [kind for kind in kinds if not set(kind) <= {int(one) for one in rounds}]
        if any(int(mujoco.mjtGeom.mjGEOM_PLANE) not in kind for kind in boxes):
            continue  # A pair of shapes that is not looked at.
        qpos.append(data.qpos.copy())
        forces.append(data.qfrc_constraint.copy())
    free = FreeRows(facts)(torch.tensor(np.array(qpos))).numpy()
    assert np.abs(np.array(forces)[free]).max() < 1e-9
    assert 0.05 < free.mean() < 0.95
    # What is not free is mostly pushed indeed.
    assert (np.abs(np.array(forces)[~free]) > 1e-9).mean() > 0.5


@pytest.mark.parametrize("name", [*MECHANISMS, "servos", "servos in Euler's step"])
def test_the_balance_is_what_the_predictor_computes(name: str) -> None:
    model, facts = load(name)
    states, actions, next_states = single_steps(model, 6)
    learned = simulator(facts, states, next_states).double()
    predictor, balance = predictor_of(learned), ForceBalance(predictor_of(learned))
    torch.manual_seed(0)
    unknowns = 0.05 * torch.rand(balance.unknowns, dtype=torch.float64)
    parts = balance.split(unknowns)
    own = parts.own
    parts.servos[:, LOWER] *= -1
    torch.testing.assert_close(balance.join(parts), unknowns)
    predictor.assign(balance.mechanics(unknowns))
    qpos, qvel = learned.space.split(states)
    acceleration = torch.randn_like(qvel)
    equations = balance(qpos, qvel, acceleration, qvel, actions)
    shared = unknowns[: equations.shared.shape[-1]]
    rest = equations.guess + equations.shared @ shared + (equations.own * own).sum(-1)
    placement = predictor.tree.motion(qpos)
    inertia = predictor.tree.inertia_matrix(placement)
    _, bias = predictor.factor_and_bias(qpos, qvel, torch.ones_like(predictor.tree.scale))
    force = predictor.applied_force(qpos, qvel, learned.scaled(actions)) - bias
    expected = (inertia @ acceleration.unsqueeze(-1)).squeeze(-1) - force
    torch.testing.assert_close(rest * predictor.joints.force_scale, expected.detach(), rtol=1e-6, atol=1e-6)
    of_inertia = balance.of_inertia(qpos, acceleration)
    rest = of_inertia.guess + of_inertia.shared @ shared + (of_inertia.own * own).sum(-1)
    expected = (inertia @ acceleration.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(rest * predictor.joints.force_scale, expected.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_few_transitions_leave_a_physical_robot(count: int) -> None:
    model, facts = load("cheetah-run")
    states, actions, next_states = single_steps(model, 40)
    learned = simulator(facts, states, next_states)
    before = {name: weight.clone() for name, weight in learned.state_dict().items()}
    guess = identify(learned, states[:count], actions[:count], next_states[:count])
    assert guess.transitions <= count
    assert str(guess)
    assert all(torch.isfinite(weight).all() for weight in learned.state_dict().values())
    mechanics = predictor_of(learned).mechanics()
    assert (torch.linalg.eigvalsh(mechanics.pseudo_inertia) > 0).all()
    if not count:
        masses = "predictor.tree.inertia"
        torch.testing.assert_close(learned.state_dict()[masses], before[masses], rtol=0, atol=1e-6)


def test_numbers_that_predict_worse_than_masses_of_water_are_not_taken() -> None:
    model, facts = load("cheetah-run")
    states, actions, next_states = single_steps(model, 400, spread=0.1)
    # Gears act the other way in what is solved for than in what is held back.
    turned = torch.where((torch.arange(len(states)) % 10 == 9).unsqueeze(-1), actions, -actions)
    learned = simulator(facts, states, next_states)
    before = predictor_of(learned).mechanics()
    guess = identify(learned, states, turned, next_states)
    true = identify(simulator(facts, states, next_states), states, actions, next_states)
    assert true.taken
    assert true.unexplained < 1e-9 < guess.unexplained
    assert not guess.taken
    assert "explain more and are kept" in str(guess)
    torch.testing.assert_close(predictor_of(learned).mechanics().pseudo_inertia, before.pseudo_inertia)


def test_noise_spoils_but_does_not_break() -> None:
    model, facts = load("cheetah-run")
    states, actions, next_states = single_steps(model, 2000)
    random = torch.Generator().manual_seed(0)
    noisy = [part + 1e-3 * torch.randn(part.shape, generator=random) for part in (states, next_states)]
    learned = simulator(facts, *noisy)
    guess = identify(learned, noisy[0], actions, noisy[1])
    assert guess.residual > 1e-4
    found, true = predictor_of(learned).mechanics(), true_mechanics(model, facts, predictor_of(learned))
    ratios = (found.gear / true.gear)[true.gear > 0]
    assert ratios.min() > 0.99 * ratios.max() > 0


class Squares:
    """A belief that unknowns are near zero."""

    def __init__(self, spread: list[float], positive: list[bool]) -> None:
        self.spread, self.positive = torch.tensor(spread, dtype=torch.float64), torch.tensor(positive)

    def value(self, unknowns: torch.Tensor) -> float:
        return 0.5 * float((unknowns / self.spread).square().sum())

    def derivatives(self, unknowns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return unknowns / self.spread.square(), torch.diag(1 / self.spread.square())

    def reach(self, unknowns: torch.Tensor, step: torch.Tensor) -> float:
        return float("inf")


def test_what_equations_do_not_say_is_the_likeliest() -> None:
    # Only the sum of the first two is measured, the third exactly, the fourth never.
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 2, generator=random, dtype=torch.float64)
    matrix = torch.cat([rows[:, :1], rows[:, :1], rows[:, 1:], torch.zeros(50, 1)], -1)
    right = (matrix @ torch.tensor([3.0, 1.0, -2.0, 0.0], dtype=torch.float64)).unsqueeze(-1)
    belief = Squares([1.0, 0.01, 1.0, 1.0], [False] * 4)
    estimate = LinearEstimate(torch.cat([matrix, right], -1), 50, belief)
    likeliest = torch.tensor([4 / 1.0001, 4e-4 / 1.0001, -2, 0], dtype=torch.float64)
    torch.testing.assert_close(estimate.most_likely(), likeliest, rtol=1e-6, atol=1e-9)
    assert (estimate.deviation < 0.5).sum() == 2


def test_what_cannot_be_negative_is_zero_and_others_make_up_for_it() -> None:
    matrix = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    right = torch.tensor([[3.0], [1.0]], dtype=torch.float64)  # That is, 2 and -1.
    free = LinearEstimate(torch.cat([matrix, right], -1), 2, Squares([1.0, 1.0], [False, False])).most_likely()
    torch.testing.assert_close(free, torch.tensor([2.0, -1.0], dtype=torch.float64))
    kept = LinearEstimate(torch.cat([matrix, right], -1), 2, Squares([1.0, 1.0], [False, True])).most_likely()
    torch.testing.assert_close(kept, torch.tensor([2.0, 0.0], dtype=torch.float64), rtol=1e-5, atol=1e-8)


def test_what_is_certain_stays_whatever_the_less_certain_asks_for() -> None:
    # The sum is certain to a billionth; the first, to a few thousandths, is 4, which the second cannot make up for.
    matrix = torch.tensor([[1.0, 1.0], [3e-7, 0.0]], dtype=torch.float64)
    right = torch.tensor([[1.0], [1.2e-6]], dtype=torch.float64)
    estimate = LinearEstimate(torch.cat([matrix, right], -1), 2, Squares([1.0, 1.0], [True, True]), 1e-9)
    torch.testing.assert_close(estimate.most_likely(), torch.tensor([1.0, 0.0], dtype=torch.float64), rtol=1e-9, atol=0)


def test_the_size_of_noise_is_found() -> None:
    random = torch.Generator().manual_seed(0)
    matrix = torch.randn(4000, 5, generator=random, dtype=torch.float64)
    noise = 0.3 * torch.randn(4000, 1, generator=random, dtype=torch.float64)
    right = matrix @ torch.ones(5, 1, dtype=torch.float64) + noise
    estimate = LinearEstimate(torch.cat([matrix, right], -1), 4000, Squares([1.0] * 5, [False] * 5))
    assert estimate.noise == pytest.approx(0.3, rel=0.05)
    torch.testing.assert_close(estimate.most_likely(), torch.ones(5, dtype=torch.float64), rtol=0, atol=0.05)


def test_the_derivatives_of_the_belief_are_those_of_finite_differences() -> None:
    _, facts = load("every joint")
    balance = ForceBalance(predictor_of(NeuralSimulator(facts, CONFIG, Statistics.neutral(facts))))
    belief = MechanicalBelief(balance, torch.zeros(1, dtype=torch.float64))
    unknowns = 0.1 * torch.rand(balance.unknowns, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradient, hessian = belief.derivatives(unknowns)
    assert belief.value(torch.zeros_like(unknowns)) < belief.value(unknowns)
    for index in range(0, balance.unknowns, 3):
        step = torch.zeros_like(unknowns)
        step[index] = 1e-5
        slope = (belief.value(unknowns + step) - belief.value(unknowns - step)) / 2e-5
        assert gradient[index].item() == pytest.approx(slope, rel=1e-6, abs=1e-7)
        bend = (belief.derivatives(unknowns + step)[0] - belief.derivatives(unknowns - step)[0]) / 2e-5
        torch.testing.assert_close(hessian[index], bend, rtol=1e-6, atol=1e-7)
    unknowns[0] = -2.0  # A negative second moment.
    assert belief.value(unknowns) == float("inf")
