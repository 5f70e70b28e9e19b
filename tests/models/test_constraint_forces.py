"""The compiled constraint forces against torch's in double precision, and against MuJoCo's own solver."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mosim.models.mosim.constraints import active_set, constraint_forces
from mosim.models.mosim.constraints.force_law import CONE, ForceLaw
from mosim.models.mosim.constraints.rows import Rows
from mujoco_rows import hard_solved, rows_of


class Problem(NamedTuple):
    """What both are called with."""

    lower: Tensor
    force: Tensor
    rows: list[Rows]
    damping: Tensor | None

    def tensors(self) -> list[Tensor]:
        """Those that gradients are taken of."""
        rows = [tensor for part in self.rows for tensor in (*part[1:3], *part.law) if tensor is not None]
        return [self.lower, self.force, *rows, *([] if self.damping is None else [self.damping])]

    def double(self) -> "Problem":
        """The same numbers, for torch to be exact with."""
        rows = [part.mapped(Tensor.double) for part in self.rows]
        damping = None if self.damping is None else self.damping.double()
        return Problem(self.lower.double(), self.force.double(), rows, damping)


def drawn(
    seed: int, states: int, size: int, damped: bool, most: int = 12, held: bool = False, cones: bool = False
) -> Problem:
    """A problem whose states have up to about `most` rows, some of none, of contacts with edges and of single rows.

    With `held`, also rows that pull as well, some of them up to a strength; with `cones`, also elliptic contacts.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    lower = normal(states, size, size).tril() / size**0.5
    lower[:, :3, :3] += normal(states, 3, 3)[:, :size, :size]  # A turned root.
    rows = []
    if cones:  # Like those below that pull: friction does.
        count = int(torch.randint(0, max(states * min(most, size) // CONE, 1), (), generator=random))
        heads = (0.1 + torch.rand(count, 1, generator=random)) * torch.tensor([1.0, 0.0, 0.0])
        stiffness = (torch.rand(count, 1, generator=random) * 10).repeat(1, CONE)
        sample = torch.randint(0, max(states - 1, 1), (count,), generator=random)
        rows.append(Rows(sample, normal(count, CONE, size), 3 * normal(count, CONE), ForceLaw(stiffness, cone=heads)))
    for edges, strength in ((4, None), (1, None), *([(1, torch.inf), (1, 2.0)] if held else [])):
        # Rows that pull as well work against one another where there are more of them than degrees of freedom.
        each = most // edges if strength is None else min(most, size) // 2
        count = int(torch.randint(0, max(states * each, 1), (), generator=random))
        sample = torch.randint(0, max(states - 1, 1), (count,), generator=random)
        jacobian, target = normal(count, edges, size), 3 * normal(count, edges)
        stiffness = torch.rand(count, edges, generator=random) * 10
        most_force = None if strength is None else strength * torch.rand(count, edges, generator=random)
        rows.append(Rows(sample, jacobian, target, ForceLaw(stiffness, most_force)))
    return Problem(lower, normal(states, size), rows, torch.rand(size, generator=random) if damped else None)


problems = st.builds(
    drawn,
    st.integers(0, 10_000),
    st.integers(1, 50),
    st.integers(1, 9),
    st.booleans(),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@given(problems)
def test_accelerations_are_those_of_torch(problem: Problem) -> None:
    found = constraint_forces.accelerations(*problem, searches=30)
    expected = active_set.accelerations(*problem.double(), searches=30).float()
    scale = expected.abs().max().item() + 1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * scale)


@given(problems)
def test_gradients_are_those_of_torch(problem: Problem) -> None:
    weights = torch.randn(problem.force.shape, generator=torch.Generator().manual_seed(1))
    exact = problem.double()
    gradients = []
    for module, given_to, weighted in ((constraint_forces, problem, weights), (active_set, exact, weights.double())):
        tensors = [tensor.requires_grad_() for tensor in given_to.tensors()]
        result: Any = module.accelerations(*given_to, searches=30)
        gradients.append(torch.autograd.grad((result * weighted).sum(), tensors, allow_unused=True))
    for tensor, found, expected in zip(problem.tensors(), *gradients, strict=True):
        # Of `L` above its diagonal nothing depends on anything; and without a row torch has no gradient of any.
        expected = torch.zeros_like(tensor) if expected is None else expected.float()
        if tensor is problem.lower:
            inside = torch.ones_like(expected[0]).tril()
            inside[:3, :3] = 1
            expected = expected * inside
        if any(tensor is part.law.stiffness for part in problem.rows if part.law.cone is not None):
            found, expected = found.sum(-1), expected.sum(-1)  # A cone's rows have one stiffness.
        scale = expected.abs().max().item() + 1 if expected.numel() else 1.0
        # A contact that slides turns with its force, so rounding counts for more.
        least = 1e-3 if all(part.law.cone is None for part in problem.rows) else 5e-3
        torch.testing.assert_close(found, expected, rtol=least, atol=least * scale)


def test_any_number_of_threads_comes_to_the_same(threads: int) -> None:
    problem = drawn(0, 1001, 9, damped=True)
    tensors = [tensor.requires_grad_() for tensor in problem.tensors()]
    result = constraint_forces.accelerations(*problem, searches=30)
    expected = active_set.accelerations(*problem, searches=30)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3)
    of_damping = torch.autograd.grad(result.square().sum(), tensors)[-1]
    torch.testing.assert_close(of_damping, torch.autograd.grad(expected.square().sum(), tensors)[-1], rtol=1e-3, atol=1)


@pytest.mark.parametrize("cone", [int(mujoco.mjtCone.mjCONE_PYRAMIDAL), int(mujoco.mjtCone.mjCONE_ELLIPTIC)])
@pytest.mark.parametrize("task", ["cheetah-run", "humanoid-walk", "quadruped-walk", "finger-spin"])
def test_given_mujocos_rows_the_accelerations_are_mujocos(task: str, cone: int) -> None:
    domain, name = task.split("-", 1)
    model = suite.load(domain, name).physics.model.ptr
    hard_solved(model, cone, impratio=2.0)
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    inertia, given_to, expected = np.zeros((model.nv, model.nv)), [], []
    for state in range(50):
        data.qpos[:] = model.qpos0
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.5)
        data.qvel[:] = random.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, inertia)
        lower = np.linalg.cholesky(np.linalg.inv(inertia))
        # Cones come first among a state's rows.
        *rows, strength, friction = rows_of(model, data)
        given_to.append((lower, inertia @ data.qacc_smooth, np.full(data.nefc, state), *rows, strength, friction))
        expected.append(data.qacc.copy())
    lower, force = (torch.from_numpy(np.stack(parts)).float() for parts in list(zip(*given_to, strict=True))[:2])
    sample, *rest = (torch.from_numpy(np.concatenate(parts)) for parts in list(zip(*given_to, strict=True))[2:])
    jacobian, target, *law = (part.float().unsqueeze(1) for part in rest)
    rows = Rows(sample, jacobian, target, ForceLaw(*law))
    found = constraint_forces.accelerations(lower, force, [rows], None, searches=20).numpy()
    scale = np.abs(expected).max(axis=-1, keepdims=True)
    assert np.median(np.abs(found - expected) / scale) < 1e-5
    assert np.max(np.abs(found - expected) / scale) < 1e-2


def test_a_state_that_is_not_finite_leaves_its_neighbours_alone() -> None:
    problem = drawn(3, 40, 6, damped=True)
    whole = constraint_forces.accelerations(*problem, searches=30)
    problem.force[7], problem.lower[20, 2, 1] = torch.nan, torch.inf
    broken = constraint_forces.accelerations(*problem, searches=30)
    others = torch.ones(40, dtype=torch.bool)
    others[[7, 20]] = False
    torch.testing.assert_close(broken[others], whole[others], rtol=1e-4, atol=1e-4)
    assert not torch.isfinite(broken[~others]).all(-1).any()


def test_without_the_library_torch_does_it_and_a_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lower = torch.eye(3).unsqueeze(0)
    assert constraint_forces.takes(lower)
    assert not constraint_forces.takes(lower.double())
    monkeypatch.setattr(constraint_forces, "_EXTENSION", "mosim.models.mosim._nothing")
    with pytest.warns(RuntimeWarning, match="C compiler"):
        assert not constraint_forces.takes(lower)


def test_rows_of_one_contact_alone_are_one_number_repeated() -> None:
    """Which is a view without memory of its own for each row; what the compiled code reads must outlive the call."""
    rows = 200_000  # So large that memory given back is no longer there.
    order, start, place, most = constraint_forces._ordered_by_sample(torch.tensor([3]).expand(rows), 5)
    assert order.tolist()[-1] == 3
    assert start.tolist() == [0, 0, 0, 0, rows, rows]
    assert (place == torch.arange(rows)).all()
    assert most == rows
