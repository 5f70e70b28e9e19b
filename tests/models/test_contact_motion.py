"""The compiled contacts against torch's in double precision."""

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from mechanisms import compiled
from mosim.models.mosim.constraints import contact_motion
from mosim.models.mosim.constraints.contact_motion import ClosedContacts, ContactMotion
from mosim.robots import SystemFacts
from mosim.tasks import load_task

# Capsules and a sphere, on one another, on a tilted plane and on the floor; a box and an ellipsoid on the planes alone.
# One has no friction.
HEAP = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" contype="3"/>
    <geom name="slope" type="plane" size="5 5 1" pos="0 0.5 0" euler="40 10 0" contype="3"/>
    <body pos="0 0 0.3"><freejoint/><geom type="capsule" size="0.1 0.3"/>
      <body pos="0 0 0.4"><joint type="ball"/><geom type="sphere" size="0.2" pos="0 0 0.1" condim="1"/></body>
      <body pos="0.3 0 0"><joint axis="1 2 3"/><geom type="capsule" size="0.08 0.2" euler="0 70 0"/></body>
    </body>
    <body pos="0.2 0 0.2"><freejoint/><geom type="box" size="0.2 0.1 0.15" contype="0" conaffinity="2"/></body>
    <body pos="0.2 0.1 0.2"><freejoint/><geom type="ellipsoid" size="0.3 0.2 0.1" pos="0 0.1 0" euler="20 0 40"
      contype="0" conaffinity="2"/></body>
    <body pos="0 0.3 0.4">
      <joint type="slide" axis="0 0 1"/><joint axis="0 1 0"/><geom type="capsule" size="0.1 0.2"/>
    </body>
  </worldbody>
</mujoco>
"""
# Shapes that only MuJoCo's collision detection finds contacts of, among others.
BLOCKS = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body pos="0 0 0.1"><freejoint/><geom type="box" size="0.2 0.1 0.15"/></body>
    <body pos="0.2 0 0.1"><freejoint/><geom type="box" size="0.1 0.1 0.1"/></body>
    <body pos="0 0.2 0.1"><freejoint/><geom type="capsule" size="0.1 0.3"/></body>
    <body pos="0 0.2 0.1"><joint type="slide" axis="0 0 1"/><joint axis="1 0 0"/><geom type="sphere" size="0.1"/></body>
  </worldbody>
</mujoco>
"""
MECHANISMS = {"heap": HEAP, "blocks": BLOCKS}
NAMES = ("heap", "cheetah-run", "hopper-hop", "humanoid-walk", "ball_in_cup-catch")


def drawn(name: str, batch: int, most: int = 100) -> tuple[ContactMotion, Tensor, Tensor, SystemFacts]:
    """Contacts, and states of which most close some gap, in single precision."""
    if name in MECHANISMS:
        model, facts = compiled(MECHANISMS[name])
    else:
        task = load_task(name)
        model, facts = task.model, task.facts
    random, states = np.random.default_rng(0), []
    for _ in range(batch):
        qpos = model.qpos0.copy()
        mujoco.mj_integratePos(model, qpos, random.normal(size=model.nv), 0.4)
        states.append(qpos)
    torch.manual_seed(0)
    motion = ContactMotion(facts, torch.rand(facts.nv) + 0.5, most)
    qpos = torch.from_numpy(np.array(states).reshape(batch, model.nq)).float()
    return motion, qpos, 3 * torch.randn(batch, facts.nv), facts


def in_torch(motion: ContactMotion, qpos: Tensor, qvel: Tensor) -> ClosedContacts:
    """Double precision is not for the compiled code."""
    return motion.double()(qpos.double(), qvel.double())


def sorted_contacts(contacts: ClosedContacts) -> ClosedContacts:
    order = (contacts.sample * 100_000 + contacts.which).argsort(stable=True)
    return ClosedContacts(*(part[order] for part in contacts))


def assert_same(found: ClosedContacts, expected: ClosedContacts) -> None:
    found, expected = sorted_contacts(found), sorted_contacts(expected)
    assert torch.equal(found.sample, expected.sample)
    assert torch.equal(found.which, expected.which)
    for part, other in zip(found[2:], expected[2:], strict=True):
        torch.testing.assert_close(part, other.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_contacts_are_those_of_torch(name: str) -> None:
    motion, qpos, qvel, _ = drawn(name, 101)
    assert contact_motion.takes(qpos, qvel)
    found = motion(qpos, qvel)
    assert len(found.sample) > 10
    assert {part.dtype for part in found[2:]} == {torch.float32}
    assert_same(found, in_torch(motion, qpos, qvel))


@pytest.mark.parametrize("most", [2, 100])
def test_contacts_that_mujoco_finds_are_added(most: int) -> None:
    motion, qpos, qvel, facts = drawn("blocks", 100, most)
    found = motion(qpos, qvel)
    asked = qpos.clone().requires_grad_()  # Which the compiled code does not take.
    expected = motion(asked, qvel)
    assert_same(found, ClosedContacts(*(part.detach() for part in expected)))
    assert torch.bincount(found.sample).max() <= most
    box = [facts.skeleton.shapes[pair.first].kind == facts.skeleton.shapes[pair.second].kind for pair in motion.pairs]
    assert bool(torch.tensor(box)[found.which].any())
    (slopes,) = torch.autograd.grad(expected.distance.sum() + expected.speed.sum(), asked)
    assert bool(slopes.isfinite().all())


@pytest.mark.parametrize("most", [1, 3])
def test_the_deepest_contacts_count(most: int) -> None:
    motion, qpos, qvel, _ = drawn("heap", 60, most)
    found = motion(qpos, qvel)
    assert torch.bincount(found.sample).max() == most
    assert_same(found, in_torch(motion, qpos, qvel))


def test_a_capsule_may_stand_upright_on_the_floor() -> None:
    motion, qpos, qvel, facts = drawn("heap", 1)
    qpos[:] = 0
    qpos[:, 2], qpos[:, 3] = 0.35, 1.0  # Half in the floor, its axis the floor's normal.
    found = motion(qpos, qvel)
    assert len(found.sample)
    assert facts.nv == found.jacobian.shape[-1]
    assert_same(found, in_torch(motion, qpos, qvel))


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [0, 1, 9, 500])
def test_any_number_of_states_and_threads_comes_to_the_same(batch: int, threads: int) -> None:
    motion, qpos, qvel, _ = drawn("humanoid-walk", 500)
    qpos, qvel = qpos[:batch], qvel[:batch]
    found = motion(qpos, qvel)
    assert found.jacobian.shape[1:] == (3, qvel.shape[-1])
    assert_same(found, in_torch(motion, qpos, qvel))


def test_a_state_that_is_not_finite_touches_nothing_and_leaves_the_others_alone() -> None:
    motion, qpos, qvel, _ = drawn("heap", 20)
    whole = sorted_contacts(motion(qpos, qvel))
    qpos[3], qpos[4, 2] = torch.nan, torch.inf
    found = sorted_contacts(motion(qpos, qvel))
    others = (whole.sample != 3) & (whole.sample != 4)
    assert torch.equal(found.sample[found.sample != 4], whole.sample[others])
    assert not (found.sample == 3).any()


def test_where_gradients_of_states_are_asked_for_torch_has_them() -> None:
    motion, qpos, qvel, _ = drawn("heap", 8)
    compiled_result = sorted_contacts(motion(qpos, qvel))
    assert not contact_motion.takes(qpos.requires_grad_(), qvel)
    with torch.no_grad():
        assert contact_motion.takes(qpos, qvel)
    found = sorted_contacts(motion(qpos, qvel))
    torch.testing.assert_close(found.jacobian, compiled_result.jacobian, rtol=1e-3, atol=1e-4)
    (gradient,) = torch.autograd.grad(found.distance.sum() + found.jacobian.square().sum(), qpos)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


TWO_CAPSULES = """
<mujoco>
  <worldbody>
    <body>
      <joint type="slide" axis="1 0 0"/><joint type="hinge" axis="0 1 0"/><geom type="capsule" size="0.05 0.3"/>
    </body>
    <body>
      <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 0 1"/><joint type="hinge" axis="0 1 0"/>
      <geom type="capsule" size="0.04 0.2"/>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.mark.parametrize("in_c", [False, True])
@pytest.mark.parametrize(
    ("second", "contacts"),
    [
        ((0.02, 0.1, 0.0), 2),  # Side by side.
        ((0.06, -0.3, 5e-5), 2),  # Nearly so.
        ((0.05, 0.55, 0.0), 2),  # One after the other.
        ((0.01, 0.05, 0.7), 1),  # They cross.
        ((0.08, 0.05, 2e-3), 1),
    ],
)
def test_capsules_in_one_plane_touch_as_in_mujoco(
    second: tuple[float, ...], contacts: int, in_c: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, facts = compiled(TWO_CAPSULES)
    data = mujoco.MjData(model)
    data.qpos[2:] = second
    data.qvel[:] = np.random.default_rng(0).normal(size=model.nv)
    mujoco.mj_forward(model, data)
    assert data.ncon == contacts
    if not in_c:
        monkeypatch.setattr(contact_motion, "takes", lambda qpos, qvel: False)
    motion = ContactMotion(facts, torch.ones(model.nv), 8)
    qpos, qvel = (torch.from_numpy(part.copy()).float().unsqueeze(0) for part in (data.qpos, data.qvel))
    found = motion(qpos, qvel)
    assert motion.planar
    crossing = abs(data.contact[0].frame[1]) > 0.5
    # Of crossing capsules both directions of friction count, as one contact each.
    assert len(found.distance) == (2 if crossing else contacts)
    assert set(found.which.tolist()) == {0}
    expected = sorted(contact.dist for contact in data.contact) * (2 if crossing else 1)
    np.testing.assert_allclose(found.distance.sort()[0], expected, atol=1e-6)
    rows = data.efc_J.reshape(-1, 4, model.nv)  # An edge and its opposite are the normal and friction more, and less.
    normals = rows[:, :2].mean(1)
    mine = found.jacobian[:, 0].numpy()
    for normal in normals:
        assert np.abs(np.abs(mine) - np.abs(normal)).max(-1).min() < 1e-4
    if crossing:
        sides = np.abs(rows[0, [0, 2]] - normals[0])  # A friction of 1, MuJoCo's default.
        np.testing.assert_allclose(np.sort(np.abs(found.jacobian[:, 1].numpy()), 0), np.sort(sides, 0), atol=1e-5)
