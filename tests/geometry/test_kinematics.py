"""Kinematics, Jacobians and contacts against MuJoCo."""

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite

from mosim.geometry import QPOS_WIDTH, ContactGaps, Jacobians, Kinematics, Points, contact_frames, read_skeleton
from mosim.robots import read_facts

# Between them: free, ball, slide and hinge joints, two trees, several joints on a body, offset anchors, boxes.
_TASKS = ("cheetah-run", "hopper-hop", "humanoid-walk", "quadruped-walk", "stacker-stack_2", "swimmer-swimmer6")
_STATES = 60
_BALL_CHAIN = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 1" pos="0 0 -1" euler="10 5 0"/>
    <body pos="0 0 1" quat="0.8 0.6 0 0">
      <joint type="ball" pos="0.1 0 0.2"/>
      <geom type="capsule" size="0.05 0.2"/>
      <body pos="0 0.3 0">
        <joint type="slide" axis="1 1 0" ref="0.2"/> <joint type="hinge" axis="0 1 1" pos="0 0.1 0" ref="0.3"/>
        <geom type="box" size="0.1 0.2 0.3"/>
        <body pos="0 0 0.4"> <geom type="sphere" size="0.1"/> </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


_ELLIPSOIDS = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 1" pos="0 0 -.3" euler="10 5 0"/>
    <body name="trunk" pos="0 0 0.1">
      <freejoint/>
      <geom type="ellipsoid" size=".3 .2 .1" pos=".1 0 0" euler="30 0 20"/>
      <body name="arm" pos="0.7 0 0"> <joint axis="0 1 1"/> <geom type="ellipsoid" size=".1 .2 .3" condim="1"/> </body>
    </body>
  </worldbody>
  <contact><exclude body1="trunk" body2="arm"/></contact>
</mujoco>
"""
# Contacts that begin before shapes touch; two shapes touch as an explicit pair alone, another two as one too.
_MARGINS = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" pos="0 0 -.3" margin="0.03"/>
    <body><freejoint/><geom name="rod" type="capsule" size=".1 .3" margin="0.05" gap="0.02"/></body>
    <body><freejoint/><geom name="ball" type="sphere" size=".2" margin="0.04"/></body>
    <body><freejoint/><geom name="ghost" type="sphere" size=".2" contype="0" conaffinity="0"/></body>
    <body><freejoint/><geom name="egg" type="ellipsoid" size=".3 .2 .1" contype="2" conaffinity="0"/></body>
  </worldbody>
  <contact>
    <pair geom1="ghost" geom2="rod" condim="1" margin="0.08" gap="0.01"/>
    <pair geom1="rod" geom2="ball" condim="3" margin="0.02"/>
    <pair geom1="egg" geom2="floor" condim="3" margin="0.07"/>
  </contact>
</mujoco>
"""
_MODELS = {"ball-chain": _BALL_CHAIN, "ellipsoids": _ELLIPSOIDS, "margins": _MARGINS}


def _model(task: str) -> mujoco.MjModel:
    if task in _MODELS:
        return mujoco.MjModel.from_xml_string(_MODELS[task])
    domain, name = task.split("-", 1)
    return suite.load(domain, name).physics.model.ptr


def _random_state(model: mujoco.MjModel, data: mujoco.MjData, random: np.random.Generator, spread: float) -> None:
    qpos = np.array(model.qpos0)
    mujoco.mj_integratePos(model, qpos, random.normal(size=model.nv), spread)
    data.qpos[:], data.qvel[:] = qpos, random.normal(size=model.nv)
    mujoco.mj_forward(model, data)


@pytest.mark.parametrize("task", [*_TASKS, "ball-chain"])
def test_positions_velocities_and_jacobians_are_mujocos(task):
    model, random = _model(task), np.random.default_rng(0)
    data, skeleton = mujoco.MjData(model), read_skeleton(model)
    kinematics, points, jacobians = Kinematics(skeleton), Points(skeleton.bodies), Jacobians(skeleton)
    links = torch.tensor([body.link for body in skeleton.bodies]) % (len(skeleton.links) + 1)
    qpos, qvel, places, speeds, moves = [], [], [], [], []
    for _ in range(_STATES):
        _random_state(model, data, random, 1.0)
        qpos.append(data.qpos.copy())
        qvel.append(data.qvel.copy())
        places.append(data.xpos[1:].copy())
        velocity, jacobian = np.zeros((model.nbody, 6)), np.zeros((model.nbody, 3, model.nv))
        for body in range(1, model.nbody):
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity[body], 0)
            mujoco.mj_jac(model, data, jacobian[body], None, data.xpos[body], body)
        speeds.append(velocity[1:, 3:])
        moves.append(jacobian[1:].swapaxes(1, 2))
    poses, velocities = kinematics(*(torch.tensor(np.array(part), dtype=torch.float32) for part in (qpos, qvel)))
    position = points(poses)
    np.testing.assert_allclose(position, np.array(places), atol=1e-5)
    np.testing.assert_allclose(points.velocities(poses, velocities), np.array(speeds), atol=1e-4)
    moved = jacobians.moves[links].expand(_STATES, -1, -1)
    np.testing.assert_allclose(jacobians(poses, position, moved), np.array(moves), atol=1e-5)


def test_a_position_is_differentiable_and_its_gradient_is_the_jacobian():
    skeleton = read_skeleton(_model("cheetah-run"))
    kinematics, points, jacobians = (
        Kinematics(skeleton).double(),
        Points(skeleton.bodies[-1:]).double(),
        Jacobians(skeleton),
    )
    qpos = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    automatic = torch.autograd.functional.jacobian(lambda q: points(kinematics.poses(q))[0], qpos)
    poses = kinematics.poses(qpos)
    moved = jacobians.moves[[skeleton.bodies[-1].link]]
    torch.testing.assert_close(jacobians.double()(poses, points(poses), moved.double())[0].mT, automatic)


@pytest.mark.parametrize(
    ("task", "unseen", "symmetric"),
    [
        ("cheetah-run", {"rootx", "rootz"}, False),
        ("cartpole-swingup", {"slider"}, False),
        ("humanoid-walk", {"root"}, True),
        ("fish-swim", {"root"}, True),
    ],
)
def test_without_contacts_and_limits_less_matters(task, unseen, symmetric):
    facts = read_facts(_model(task), task)
    assert {facts.state_names[index].split("/")[1].split("[")[0] for index in facts.cyclic_unconstrained} == unseen
    assert facts.heading_symmetric == symmetric


def test_a_system_without_contacts_or_limits_has_none():
    assert not read_skeleton(_model("acrobot-swingup")).pairs  # Its option disables contacts.
    model = _model("hopper-hop")
    assert any(joint.limited for joint in read_facts(model, "hopper").joints)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_LIMIT
    assert not any(joint.limited for joint in read_facts(model, "hopper").joints)


@pytest.mark.parametrize(
    "task", ["hopper-hop", "humanoid-walk", "walker-run", "ball_in_cup-catch", "ellipsoids", "margins"]
)
def test_contacts_and_their_friction_pyramids_are_mujocos(task):
    model, random = _model(task), np.random.default_rng(0)
    model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    data, skeleton = mujoco.MjData(model), read_skeleton(model)
    # In double precision: where two capsules are almost parallel, rounding moves the point where they are closest.
    kinematics, jacobians = Kinematics(skeleton).double(), Jacobians(skeleton).double()
    gaps = ContactGaps(skeleton).double()
    seen = 0
    for _ in range(200):
        _random_state(model, data, random, 0.7)
        poses = kinematics.poses(torch.tensor(data.qpos))
        found = gaps(poses)
        closed = (found.distance < 0).nonzero().flatten()
        pushing = [contact for contact in data.contact if contact.exclude == 0]  # The others are in a gap.
        assert len(closed) == len(pushing)
        rows = (
            contact_frames(found.normal, found.tangent)
            @ jacobians(poses, found.position, jacobians.moves[gaps.first] - jacobians.moves[gaps.second]).mT
        )
        for contact in pushing:
            offset = (found.position - torch.tensor(contact.pos)).norm(dim=-1)
            gap = int(closed[offset[closed].argmin()])
            assert offset[gap] < 1e-4
            assert abs(found.distance[gap].item() - (contact.dist - contact.includemargin)) < 1e-5
            assert bool(gaps.friction[gap]) == (contact.dim > 1)
            normal, *sideways = rows[gap].numpy()
            edges = [normal + sign * contact.friction[0] * row for row in sideways for sign in (1, -1)]
            edges = edges if contact.dim > 1 else [normal]
            theirs = data.efc_J.reshape(-1, model.nv)[contact.efc_address : contact.efc_address + len(edges)]
            # In what order the four edges come does not matter.
            np.testing.assert_allclose(_sorted(np.array(edges)), _sorted(theirs), atol=1e-4)
            seen += 1
    assert seen > 20


def _sorted(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(np.round(rows, 3).T)]


@pytest.mark.parametrize(
    "task", ["cheetah-run", "hopper-hop", "humanoid-walk", "finger-spin", "stacker-stack_2", "ellipsoids"]
)
def test_closed_gaps_are_found_and_worked_out_alone_as_among_all(task):
    model, random = _model(task), np.random.default_rng(0)
    data, skeleton = mujoco.MjData(model), read_skeleton(model)
    kinematics, gaps = Kinematics(skeleton).double(), ContactGaps(skeleton).double()
    qpos = []
    for _ in range(200):
        _random_state(model, data, random, 0.7)
        qpos.append(data.qpos.copy())
    poses = kinematics.poses(torch.tensor(np.array(qpos)))
    every = gaps(poses)
    sample, which = gaps.closed(poses)
    assert len(sample) > 5
    assert set(zip(sample.tolist(), which.tolist(), strict=True)) == set(
        map(tuple, (every.distance < 0).nonzero().tolist())
    )
    for found, expected in zip(gaps.at(poses, sample, which), every, strict=True):
        torch.testing.assert_close(found, expected[sample, which])


@pytest.mark.parametrize("task", [*_TASKS, "ball-chain"])
def test_screws_are_the_jacobians_of_every_point(task):
    skeleton = read_skeleton(_model(task))
    kinematics, points, jacobians = Kinematics(skeleton), Points(skeleton.bodies), Jacobians(skeleton)
    qpos = torch.randn(
        3, sum(QPOS_WIDTH[link.kind] for link in skeleton.links), generator=torch.Generator().manual_seed(0)
    )
    poses = kinematics.poses(qpos)
    position = points(poses)
    moved = torch.ones(3, len(skeleton.bodies), jacobians.moves.shape[1])
    axes = torch.eye(3).expand(*position.shape[:-1], 3, 3)
    wrenches = torch.cat([torch.linalg.cross(position.unsqueeze(-2).expand_as(axes), axes), axes], dim=-1)
    expected = jacobians(poses, position, moved).mT
    torch.testing.assert_close(wrenches @ jacobians.screws(poses).unsqueeze(-3), expected, rtol=1e-4, atol=1e-4)
