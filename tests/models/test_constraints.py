"""Constraint forces against MuJoCo's own solver, a closed form, and optimality."""

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite
from hypothesis import given
from hypothesis import strategies as st

from mosim.geometry import rotation_matrices
from mosim.geometry.configuration_space import quaternion_multiply
from mosim.models import ConstraintsConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.models.mosim.constraints.active_set import least_push, solve_positive_definite
from mosim.models.mosim.constraints.force_law import CONE, ONE_SIDED, ForceLaw
from mosim.models.mosim.constraints.rows import Rows, by_sample
from mosim.models.mosim.predictor import RigidBodyPredictor
from mosim.tasks import load_task
from mujoco_rows import hard_solved, rows_of


@pytest.mark.parametrize("cone", [int(mujoco.mjtCone.mjCONE_PYRAMIDAL), int(mujoco.mjtCone.mjCONE_ELLIPTIC)])
@pytest.mark.parametrize(
    "task", ["cheetah-run", "hopper-hop", "walker-run", "humanoid-walk", "quadruped-walk", "finger-spin"]
)
def test_given_mujocos_rows_the_solution_is_mujocos(task, cone):
    domain, name = task.split("-", 1)
    model = suite.load(domain, name).physics.model.ptr
    hard_solved(model, cone, impratio=3.0)
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    inertia, pushed = np.zeros((model.nv, model.nv)), 0
    for _ in range(50):
        data.qpos[:] = model.qpos0
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.5)
        data.qvel[:] = random.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        if not data.nefc:
            continue
        mujoco.mj_fullM(model, data, inertia)
        lower = torch.from_numpy(np.linalg.inv(np.linalg.cholesky(inertia)).T)
        jacobian, target, *law = (torch.from_numpy(part) for part in rows_of(model, data))
        missing = jacobian @ torch.from_numpy(data.qacc_smooth) - target
        push = least_push(jacobian @ lower, missing, ForceLaw(*law), 50)
        qacc = data.qacc_smooth + (lower @ push).squeeze(-1).numpy()
        np.testing.assert_allclose(qacc, data.qacc, rtol=1e-5, atol=1e-5 * np.abs(data.qacc).max())
        pushed += bool(push.abs().max() > 1e-6)
    assert pushed > 20


def law_of(random: np.random.Generator, rows: int, held: bool, cones: bool) -> ForceLaw:
    """A law of rows, some without stiffness; the first may be cones'."""
    stiffness = torch.from_numpy(random.exponential(3.0, rows) * (random.random(rows) < 0.7))
    strength = torch.from_numpy(random.choice([ONE_SIDED, np.inf, 0.3, 2.0], rows)) if held else None
    if not cones:
        return ForceLaw(stiffness, strength)
    friction = torch.zeros(rows, dtype=torch.float64)
    for head in range(0, rows - CONE + 1, CONE):
        if random.random() < 0.7:
            friction[head] = random.uniform(0.1, 2.0)
            stiffness[head : head + CONE] = random.exponential(3.0)
            if strength is not None:
                strength[head : head + CONE] = ONE_SIDED
    return ForceLaw(stiffness, strength, friction)


@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.sampled_from([3, 8]))
def test_the_solution_is_optimal(seed, held, cones, rows):
    random = np.random.default_rng(seed)
    along, missing = (torch.from_numpy(random.normal(size=size)) for size in ((rows, 4), rows))
    law = law_of(random, rows, held, cones)
    push = least_push(along, missing, law, 50).squeeze(-1)
    gradient = push - along.mT @ law.forces(missing + along @ push)
    assert gradient.abs().max() < 1e-9


@given(st.integers(0, 10_000), st.booleans())
def test_forces_are_projections_on_what_constraints_can_do(seed, held):
    """What is left of the pull points away from every other force that rows can make."""
    random = np.random.default_rng(seed)
    law, gap = law_of(random, 8, held, cones=True), torch.from_numpy(random.normal(size=8))
    pull, forces = -law.stiffness * gap, law.forces(gap)
    torch.testing.assert_close(forces, forces_by_slope(law, gap))
    # A force that any pull leads to is one that rows can make.
    others = law.forces(torch.from_numpy(random.normal(scale=3.0, size=(100, 8))))
    assert ((pull - forces) * (others - forces)).sum(-1).max() < 1e-9


def forces_by_slope(law: ForceLaw, gap: torch.Tensor) -> torch.Tensor:
    slope = law.slope(gap)
    forces = -slope.turned_back(slope.stiffness.unsqueeze(-1) * slope.turned(gap.unsqueeze(-1))).squeeze(-1)
    return forces if slope.held is None else forces + slope.held


@given(st.integers(0, 10_000))
def test_slopes_are_derivatives_of_forces(seed):
    random = np.random.default_rng(seed)
    law, gap = law_of(random, 8, held=True, cones=True), torch.from_numpy(random.normal(size=8))
    jacobian = torch.autograd.functional.jacobian(law.forces, gap)
    slope = law.slope(gap)
    turn = slope.turned(torch.eye(8, dtype=torch.float64))
    torch.testing.assert_close(jacobian, -turn.mT @ (slope.stiffness.unsqueeze(-1) * turn))


def test_one_row_has_a_closed_form():
    along, missing, stiffness = torch.tensor([[2.0]]), torch.tensor([-3.0]), torch.tensor([5.0])
    push = least_push(along, missing, ForceLaw(stiffness), searches=1)
    assert push.item() == pytest.approx(3 * 2 * 5 / (1 + 4 * 5))
    assert least_push(along, -missing, ForceLaw(stiffness), searches=1).item() == 0.0


@pytest.mark.parametrize("task", ["hopper-hop", "acrobot-swingup"])
def test_a_simulator_with_constraints_is_differentiable_and_blind_to_open_ones(task):
    system = load_task(task)
    facts = system.facts
    config = NeuralSimulatorConfig(constraints=ConstraintsConfig(), correctors=())
    torch.manual_seed(0)
    model = NeuralSimulator(facts, config, Statistics.neutral(facts))
    state = torch.from_numpy(system.reset([0]).state).float().expand(3, -1).clone()
    state[0, 1] = 10.0  # High above the floor.
    state.requires_grad_()
    action = torch.zeros(3, facts.nu)
    model.rollout(state, action.unsqueeze(1).expand(-1, 4, -1)).square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)
    assert state.grad is not None
    assert torch.isfinite(state.grad).all()


def test_a_free_root_s_heading_and_place_only_turn_and_move_what_is_predicted() -> None:
    task = load_task("humanoid-walk")
    facts = task.facts
    assert facts.heading_symmetric
    torch.manual_seed(0)
    model = NeuralSimulator(
        facts, NeuralSimulatorConfig(constraints=ConstraintsConfig(), correctors=()), Statistics.neutral(facts)
    ).double()
    start, action = torch.from_numpy(task.reset([3]).state), torch.zeros(5, facts.nu, dtype=torch.float64)
    start[2] = 0.2  # Part of it is in the floor.
    start[facts.nq :] = torch.randn(facts.nv, dtype=torch.float64)
    turn = torch.tensor([np.cos(0.4), 0.0, 0.0, np.sin(0.4)])

    def turned(state: torch.Tensor) -> torch.Tensor:
        matrix = rotation_matrices(turn)
        position = state[..., :3] @ matrix.T + torch.tensor([2.0, -1.0, 0.0])
        velocity = state[..., facts.nq : facts.nq + 3] @ matrix.T
        orientation = quaternion_multiply(turn.expand_as(state[..., 3:7]), state[..., 3:7])
        return torch.cat([position, orientation, state[..., 7 : facts.nq], velocity, state[..., facts.nq + 3 :]], -1)

    torch.testing.assert_close(model.rollout(turned(start), action), turned(model.rollout(start, action)))


@pytest.mark.parametrize(("task", "damped"), [("cartpole-swingup", False), ("hopper-hop", True)])
def test_only_where_mujoco_s_step_is_implicit_does_damping_change_free_motion(task: str, damped: bool) -> None:
    system = load_task(task)
    facts = system.facts
    torch.manual_seed(0)
    model = NeuralSimulator(facts, NeuralSimulatorConfig(constraints=ConstraintsConfig()), Statistics.neutral(facts))
    predictor = model.predictor
    assert isinstance(predictor, RigidBodyPredictor)
    assert predictor.constraints is not None
    qpos, qvel = torch.zeros(1, facts.nq), torch.randn(1, facts.nv)
    if damped:
        qpos[0, 1] = 10.0  # High above the floor.
        qpos[0, 3:] = torch.tensor([sum(joint_range) / 2 for joint_range in system.model.jnt_range[3:]])
    lower, force = torch.randn(1, facts.nv, facts.nv).tril(), torch.randn(1, facts.nv)
    free = (lower @ (lower.mT @ force.unsqueeze(-1))).squeeze(-1)
    assert (predictor.log_damping is not None) == damped
    damping = None if predictor.log_damping is None else predictor.log_damping.exp()
    assert torch.allclose(predictor.constraints(qpos, qvel, lower, force, damping), free, rtol=1e-5) != damped


def test_contacts_hold_a_robot_up():
    system = load_task("walker-stand")
    facts = system.facts
    model = NeuralSimulator(
        facts, NeuralSimulatorConfig(constraints=ConstraintsConfig(), correctors=()), Statistics.neutral(facts)
    )
    with torch.no_grad():  # Nothing but the constraints acts, from a state sunk into the floor.
        for name, weight in model.predictor.named_parameters():
            if name.startswith(("bias.output", "actuation.output")):
                weight.zero_()
    sunk = torch.zeros(facts.state_size)
    sunk[0] = -0.01
    before = model.step(sunk, torch.zeros(facts.nu))
    lifted = sunk.clone()
    lifted[0] = 5.0
    after = model.step(lifted, torch.zeros(facts.nu))
    assert before[facts.nq] > 0.01  # Pushed up.
    assert after[facts.nq :].abs().max() < 1e-6  # In the air nothing pushes.


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_forces_or_push_whichever_is_looked_for_the_solution_is_the_same(seed, rows):
    random = np.random.default_rng(seed)
    along, missing = (torch.from_numpy(random.normal(size=size)) for size in ((3, rows, 6), (3, rows)))
    stiffness = torch.from_numpy(random.exponential(3.0, (3, rows)) * (random.random((3, rows)) < 0.7))
    # With a dozen rows of no stiffness more, there are too many to look for the forces.
    none = torch.zeros(3, 12, dtype=torch.float64)
    more = least_push(
        torch.cat([along, none.unsqueeze(-1).expand(-1, -1, 6)], 1),
        torch.cat([missing, none], 1),
        ForceLaw(torch.cat([stiffness, none], 1)),
        10,
    )
    torch.testing.assert_close(least_push(along, missing, ForceLaw(stiffness), 10), more)


@pytest.mark.parametrize("rows", [3, 9])
@pytest.mark.parametrize(("held", "cones"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_gradient_of_the_solution_is_that_of_finite_differences(rows, held, cones):
    random = np.random.default_rng(0)
    along, missing = (torch.from_numpy(random.normal(size=size)) for size in ((2, rows, 5), (2, rows)))
    stiffness = torch.from_numpy(random.exponential(3.0, (2, rows // CONE)))
    strength = torch.from_numpy(random.exponential(0.3, (2, rows))) if held else None
    friction = torch.from_numpy(random.uniform(0.3, 1.5, (2, rows // CONE))) if cones else None
    given = [part.requires_grad_() for part in (along, missing, stiffness, strength, friction) if part is not None]

    def solved(along, missing, stiffness, *rest):
        rest = list(rest)
        strength = rest.pop(0) if held else None
        if strength is not None and cones:
            strength = torch.cat([torch.full_like(strength[:, :CONE], ONE_SIDED), strength[:, CONE:]], 1)
        first = torch.tensor([1.0, 0.0, 0.0])
        cone = None
        if cones:  # With a strength, only the first contact has one.
            cone = (rest[0][:, : 1 if held else None].unsqueeze(-1) * first).flatten(1)
            cone = torch.nn.functional.pad(cone, (0, rows - cone.shape[1]))
        return least_push(along, missing, ForceLaw(stiffness.repeat_interleave(CONE, 1), strength, cone), 50)

    # Of the larger one, a random combination of its derivatives stands for all.
    assert torch.autograd.gradcheck(solved, given, fast_mode=rows > CONE)


@pytest.mark.parametrize("task", ["cheetah-run", "humanoid-walk"])
def test_a_state_is_predicted_alike_alone_and_among_others_even_broken_ones(task):
    system = load_task(task)
    facts = system.facts
    torch.manual_seed(0)
    model = NeuralSimulator(
        facts, NeuralSimulatorConfig(constraints=ConstraintsConfig(), correctors=()), Statistics.neutral(facts)
    )
    states = torch.from_numpy(np.stack([system.reset([seed]).state for seed in range(6)])).float()
    states[1:, 2] -= torch.linspace(0.0, 1.0, 5)  # Into the floor.
    states[5] = torch.nan
    actions = torch.zeros(6, facts.nu)
    together = model.step(states, actions).detach()
    alone = torch.stack([model.step(state, action) for state, action in zip(states, actions, strict=True)]).detach()
    torch.testing.assert_close(together[:5], alone[:5], rtol=1e-4, atol=1e-4)
    assert not torch.isfinite(together[5]).all()
    assert model.step(states[:0], actions[:0]).shape == (0, facts.state_size)


def test_only_a_planar_robot_has_three_edges():
    planar = {}
    for task in ("cheetah-run", "hopper-hop", "humanoid-walk", "stacker-stack_2"):
        facts = load_task(task).facts
        config = NeuralSimulatorConfig(constraints=ConstraintsConfig(), correctors=())
        predictor = NeuralSimulator(facts, config, Statistics.neutral(facts)).predictor
        assert isinstance(predictor, RigidBodyPredictor)
        assert predictor.constraints is not None
        assert predictor.constraints.contacts is not None
        planar[task] = predictor.constraints.contacts.planar
    # A cone has two directions of friction always.
    assert planar == {"cheetah-run": True, "hopper-hop": True, "humanoid-walk": False, "stacker-stack_2": False}


@pytest.mark.parametrize("batch", [3, 500])
def test_many_systems_are_solved_as_few_are(batch):
    random = torch.Generator().manual_seed(0)
    root = torch.randn(batch, 9, 9, generator=random, dtype=torch.float64)
    matrix, right = root @ root.mT + torch.eye(9), torch.randn(batch, 9, 1, generator=random, dtype=torch.float64)
    torch.testing.assert_close(solve_positive_definite(matrix, right), torch.linalg.solve(matrix, right))
    matrix[0] -= 100 * torch.eye(9)  # Not positive definite any more.
    torch.testing.assert_close(solve_positive_definite(matrix, right), torch.linalg.solve(matrix, right))


def test_rows_are_put_together_by_state():
    random = np.random.default_rng(0)
    batch, parts = 40, []
    for edges, strength in ((4, None), (1, torch.rand(60, 1))):
        sample = torch.from_numpy(random.integers(1, batch, 60))  # The first state has none.
        jacobian, target, stiffness = (torch.rand(60, edges, *shape) for shape in ((5,), (), ()))
        parts.append(Rows(sample, jacobian, target, ForceLaw(stiffness, strength)))
    seen: list[int] = []
    strengths = [torch.full_like(parts[0].target, ONE_SIDED), parts[1].law.strength]
    for touched, jacobian, target, law in by_sample(parts, batch, few=(3, 7)):
        assert law.cone is None
        seen += touched.tolist()
        for index, state in enumerate(touched.tolist()):
            of_parts = {
                "jacobian": (jacobian, [part.jacobian for part in parts]),
                "target": (target, [part.target for part in parts]),
                "stiffness": (law.stiffness, [part.law.stiffness for part in parts]),
                "strength": (law.strength, strengths),
            }
            for name, (found, fields) in of_parts.items():
                each = zip(parts, fields, strict=True)
                expected = torch.cat([field[part.sample == state].flatten(0, 1) for part, field in each])
                torch.testing.assert_close(found[index, : len(expected)], expected)
                assert not found[index, len(expected) :].any(), name
    assert sorted(seen) == sorted(set(torch.cat([part.sample for part in parts]).tolist()))
