"""The compiled dynamics of trees against torch's, in every kind of joint; gradients by finite differences too."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from mechanisms import EVERY_JOINT, IN_A_FLUID, PENDULUM, WELDED_AND_MASSLESS, compiled
from mosim.geometry.configuration_space import ConfigurationSpace
from mosim.models import Statistics
from mosim.models.mosim.tree import tree_dynamics
from mosim.models.mosim.tree.fluid_drag import FluidDrag
from mosim.models.mosim.tree.mass_tree import MassTree
from mosim.robots import SystemFacts
from mosim.tasks import load_task

# One body with several joints of which none is along an axis, bodies on a ball, a massless link beside those with mass,
# and a tree of one link after another tree.
BRANCHES = """
<mujoco>
  <option gravity="0.3 0.2 -9.81"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <worldbody>
    <body pos="1 2 3" euler="10 20 30">
      <joint name="ball" type="ball" pos="0.1 0.2 0.3"/>
      <geom type="box" size="0.1 0.2 0.3" mass="2" pos="0 0.1 0.05"/>
      <body pos="0.3 0 0.1" euler="0 40 0">
        <joint name="first" type="hinge" axis="1 2 3" pos="0.1 0 0" ref="20"/>
        <joint name="second" type="slide" axis="3 -1 1"/>
        <joint name="third" type="hinge" axis="0 -1 1"/>
        <geom type="capsule" size="0.05 0.2" mass="0.7"/>
        <body pos="0 0 0.3"><joint name="left" axis="1 0 0"/><geom type="sphere" size="0.05" mass="0.1"/></body>
        <body pos="0 0.1 0.3"><joint name="right" type="ball"/><geom type="sphere" size="0.05" mass="0.1"/>
          <body pos="0.2 0 0"><joint name="end" axis="0 1 0"/><geom type="sphere" size="0.04" mass="0.1"/></body>
        </body>
      </body>
    </body>
    <body pos="0 0 1"><joint name="alone" type="slide" axis="0 0 1"/><geom type="sphere" size="0.1" mass="1"/></body>
  </worldbody>
</mujoco>
"""
MECHANISMS = {
    "every joint": EVERY_JOINT, "pendulum": PENDULUM, "welded and massless": WELDED_AND_MASSLESS, "branches": BRANCHES,
    "in a fluid": IN_A_FLUID,
}  # fmt: skip
TASKS = ("reacher-easy", "cheetah-run", "humanoid-walk", "fish-swim", "stacker-stack_2")


def drawn(name: str) -> tuple[MassTree, SystemFacts]:
    """A tree whose masses and armature are no first guess."""
    facts = compiled(MECHANISMS[name])[1] if name in MECHANISMS else load_task(name).facts
    torch.manual_seed(0)
    tree = MassTree(facts)
    with torch.no_grad():
        tree.inertia.add_(0.3 * torch.randn_like(tree.inertia))
        tree.log_armature.add_(torch.randn_like(tree.log_armature))
        if name == "in a fluid":  # A robot of a few grams would show more rounding than slope.
            tree.inertia[:, 0] += 3.0
    return tree, facts


def fluid_of(tree: MassTree, facts: SystemFacts) -> FluidDrag | None:
    """A fluid that drags with all numbers, if there is one."""
    if facts.wind is None:
        return None
    rest, statistics = tree.scale.new_zeros(facts.nq), Statistics.neutral(facts)
    fluid = FluidDrag(facts.skeleton, tree.motion, facts.wind, rest, tree.scale, statistics)
    with torch.no_grad():
        fluid.log_strength.normal_(-3.0)
    return fluid


def states(facts: SystemFacts, *batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    qpos = torch.randn(*batch, facts.nq, generator=random, dtype=torch.float64)
    qvel = 3 * torch.randn(*batch, facts.nv, generator=random, dtype=torch.float64)
    return ConfigurationSpace(facts.joints).normalise(qpos), qvel


def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_dynamics, "takes", lambda *_: False)


@pytest.mark.parametrize(
    ("name", "batch"),
    [*((name, (3, 7)) for name in (*MECHANISMS, *TASKS)), *(("branches", batch) for batch in ((), (0,), (2, 0)))],
)
def test_the_same_as_torch_to_rounding(name: str, batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    tree, facts = drawn(name)
    qpos, qvel = states(facts, *batch)
    unit, more = torch.rand(2, facts.nv, dtype=torch.float64) + 0.5
    assert tree_dynamics.takes(qpos, tree.gravity)
    fluid = fluid_of(tree, facts)
    found = tree.factor_and_bias(qpos, qvel, unit, more, fluid)
    in_torch(monkeypatch)
    for part, expected in zip(found, tree.factor_and_bias(qpos, qvel, unit, more, fluid), strict=True):
        assert part.shape == expected.shape
        assert part.dtype == expected.dtype
        torch.testing.assert_close(
            part, expected, rtol=1e-9, atol=1e-10 * expected.abs().amax().item() if expected.numel() else 0
        )


@pytest.mark.parametrize("name", [*MECHANISMS, *TASKS])
def test_gradients_are_those_of_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, facts = drawn(name)
    space, fluid = ConfigurationSpace(facts.joints), fluid_of(tree, facts)
    learned = [tree.inertia, tree.log_armature, *([] if fluid is None else [fluid.log_strength])]
    moving = [part.requires_grad_() for part in states(facts, 11)]
    weights = torch.randn(11, facts.nv, facts.nv, dtype=torch.float64), torch.randn(11, facts.nv, dtype=torch.float64)

    def gradients() -> tuple[Tensor, ...]:
        # Torch's operations take a quaternion's length for one.
        qpos, qvel = space.normalise(moving[0]), moving[1]
        results = tree.factor_and_bias(qpos, qvel, torch.ones(facts.nv), fluid=fluid)
        losses = [
            (weight * part / part.detach().abs().mean()).sum() for weight, part in zip(weights, results, strict=True)
        ]
        return torch.autograd.grad(losses, [*moving, *learned])

    found = gradients()
    in_torch(monkeypatch)
    for part, expected in zip(found, gradients(), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-7 * expected.abs().max().item())


class Given(nn.Module):
    """The operator's arguments but the states."""

    def __init__(self, tree: MassTree, fluid: FluidDrag | None = None) -> None:
        super().__init__()
        with torch.no_grad():
            drag, places = (tree._no_drag, tree._no_places) if fluid is None else (fluid.strengths, fluid.drawing)
            self.masses = [tree.pseudo_inertia, tree.armature, drag]
        self.rest = [tree.gravity, torch.linspace(0.5, 2, len(tree.scale)), places, tree._layout, tree._drawing]

    def forward(self, qpos: Tensor, qvel: Tensor) -> tuple[Tensor, Tensor]:
        return tree_dynamics.factor_and_bias(qpos, qvel, *self.masses, *self.rest)


@pytest.mark.parametrize("name", MECHANISMS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    tree, facts = drawn(name)
    given = Given(tree, fluid_of(tree, facts))
    qpos, qvel = states(facts, 2)
    inputs = [part.detach().requires_grad_() for part in (1.3 * qpos, qvel, *given.masses) if part.numel()]
    no_drag = [part for part in given.masses if not part.numel()]

    def operator(*parts: Tensor) -> tuple[Tensor, Tensor]:
        return tree_dynamics.factor_and_bias(*parts, *no_drag, *given.rest)

    assert torch.autograd.gradcheck(operator, inputs, rtol=1e-4, atol=1e-4)


def test_gradients_of_masses_alone_are_the_same() -> None:
    tree, facts = drawn("in a fluid")
    given = Given(tree, fluid_of(tree, facts))
    masses = [part.requires_grad_() for part in given.masses]
    qpos, qvel = states(facts, 5)
    alone = torch.autograd.grad([part.sum() for part in given(qpos, qvel)], masses)
    results = given(qpos.requires_grad_(), qvel)
    torch.testing.assert_close(torch.autograd.grad([part.sum() for part in results], masses), alone)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 8, 13, 1001])
def test_states_do_not_depend_on_those_beside_them(count: int, threads: int) -> None:
    tree, facts = drawn("in a fluid")
    given = Given(tree, fluid_of(tree, facts))
    qpos, qvel = states(facts, 1001)
    qpos, qvel = qpos[:count].requires_grad_(), qvel[:count].requires_grad_()
    found = given(qpos, qvel)
    assert [part.shape for part in found] == [(count, facts.nv, facts.nv), (count, facts.nv)]
    grads = torch.autograd.grad([part.square().sum() for part in found], [qpos, qvel])
    assert [part.shape for part in grads] == [qpos.shape, qvel.shape]
    for index in range(0, count, 250):
        one = [part[index : index + 1].detach().requires_grad_() for part in (qpos, qvel)]
        alone = given(*one)
        of_one = torch.autograd.grad([part.square().sum() for part in alone], one)
        for parts, part in zip((*found, *grads), (*alone, *of_one), strict=True):
            torch.testing.assert_close(parts[index : index + 1], part)


def test_singles_are_computed_in_double_precision() -> None:
    tree, facts = drawn("humanoid-walk")
    given = Given(tree)
    qpos, qvel = (part.float() for part in states(facts, 9))
    lower, bias = given(qpos.requires_grad_(), qvel)
    exact, exact_bias = given(qpos.double(), qvel.double())
    assert lower.dtype == torch.float32
    assert torch.equal(lower, exact.float())
    torch.testing.assert_close(bias, exact_bias, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(lower.sum(), qpos)
    assert gradient.dtype == torch.float32


def test_a_quaternion_may_have_any_length() -> None:
    tree, facts = drawn("every joint")
    qpos, qvel = states(facts, 4)
    longer = torch.cat([qpos[:, :3], 2.5 * qpos[:, 3:7], qpos[:, 7:]], dim=-1)
    for part, expected in zip(Given(tree)(longer, qvel), Given(tree)(qpos, qvel), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-12)
    nothing, upright = torch.zeros_like(qpos), torch.zeros_like(qpos)
    upright[:, [3, 7]] = 1.0
    for part, expected in zip(Given(tree)(nothing, qvel), Given(tree)(upright, qvel), strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["pendulum", "cheetah-run"])
def test_far_turned_angles_lose_no_digit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, facts = drawn(name)
    qpos, qvel = states(facts, 40)
    qpos = qpos * torch.logspace(-3, 9, 40, dtype=torch.float64).unsqueeze(-1)
    if name == "cheetah-run":
        qpos[:, :2] = 0
    found = tree.factor_and_bias(qpos, qvel, torch.ones(facts.nv))
    in_torch(monkeypatch)
    for part, expected in zip(found, tree.factor_and_bias(qpos, qvel, torch.ones(facts.nv)), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_state_that_is_not_finite_stays_so_and_leaves_its_neighbours_alone(value: float) -> None:
    tree, facts = drawn("every joint")
    given = Given(tree)
    qpos, qvel = states(facts, 10)
    whole = given(qpos, qvel)
    qpos[3, -1], qpos[9, 4] = value, value
    broken = given(qpos.requires_grad_(), qvel)
    others = torch.ones(10, dtype=torch.bool)
    others[[3, 9]] = False
    for part, expected in zip(broken, whole, strict=True):
        torch.testing.assert_close(part[others], expected[others])
        assert not torch.isfinite(part[~others]).flatten(1).all(-1).any()
    (gradient,) = torch.autograd.grad([part.sum() for part in broken], qpos)
    assert torch.isfinite(gradient[others]).all()


def test_torch_knows_the_operator() -> None:
    tree, facts = drawn("in a fluid")
    given = Given(tree, fluid_of(tree, facts))
    qpos, qvel = (part.requires_grad_() for part in states(facts, 3))
    arguments = (qpos, qvel, *(part.requires_grad_() for part in given.masses), *given.rest)
    torch.library.opcheck(torch.ops.mosim.factor_and_bias.default, arguments)
    results = [part.detach() for part in tree_dynamics.factor_and_bias(*arguments)]
    arguments = (*results, *(part.detach() for part in arguments))
    for of_states in (True, False):
        torch.library.opcheck(torch.ops.mosim.factor_and_bias_backward.default, (*arguments, of_states))


def test_without_the_library_torch_does_it_and_a_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tree, facts = drawn("pendulum")
    qpos, qvel = states(facts, 2)
    found = tree.factor_and_bias(qpos, qvel, torch.ones(1))
    monkeypatch.setattr(tree_dynamics, "_EXTENSION", "mosim.models.mosim._no_tree")
    with pytest.warns(RuntimeWarning, match="C compiler"):
        expected = tree.factor_and_bias(qpos, qvel, torch.ones(1))
    torch.testing.assert_close(found, expected)
