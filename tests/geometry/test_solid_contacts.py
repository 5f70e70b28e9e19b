"""Contacts of shapes without a closed form, and from where on they cannot touch, against MuJoCo's."""

import mujoco
import numpy as np
import torch

from mosim.geometry import Kinematics, SolidContacts, read_skeleton

CYLINDERS = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" pos="0 0 -.2" euler="10 20 0"/>
    <body pos="0 0 1">
      <freejoint/>
      <geom type="cylinder" size=".3 .1" pos=".1 0 0" euler="30 0 20"/>
      <body pos="0 .4 0">
        <joint axis="1 1 0"/>
        <geom type="cylinder" size=".1 .25" pos="0 .1 .1" euler="0 70 0"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""

# Boxes, a cylinder, an ellipsoid and a mesh; the floor and what is round have closed forms.
HEAP = """
<mujoco>
  <asset><mesh name="stone" vertex="0 0 0 .5 0 0 0 .4 0 0 0 .3 .3 .3 .3 .2 .1 .1"/></asset>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" pos="0 0 -1"/>
    <geom name="wall" type="box" size=".1 1 1" pos="-.8 0 0" euler="0 0 20" margin=".03" gap=".01"/>
    <body><freejoint/><geom name="box" type="box" size=".1 .2 .4"/></body>
    <body><freejoint/><geom name="flat" type="ellipsoid" size=".3 .1 .2" pos=".1 0 0" euler="20 0 0"/></body>
    <body><freejoint/><geom name="can" type="cylinder" size=".2 .1" margin=".02"/></body>
    <body><freejoint/><geom name="rod" type="capsule" size=".05 .4" euler="0 40 0"/></body>
    <body><freejoint/><geom name="stone" type="mesh" mesh="stone" pos="-.1 0 .1" euler="0 30 0"/></body>
    <body><freejoint/><geom name="ball" type="sphere" size=".2"/></body>
  </worldbody>
</mujoco>
"""

BLOCKS = """
<mujoco>
  <worldbody>
    <geom type="box" size=".2 .2 .1"/>
    <body>
      <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="slide" axis="0 0 1"/>
      <joint axis="0 1 0"/>
      <geom type="box" size=".1 .1 .1"/>
    </body>
  </worldbody>
</mujoco>
"""


def test_cylinders_are_as_far_from_planes_as_mujoco_says() -> None:
    model = mujoco.MjModel.from_xml_string(CYLINDERS)
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    skeleton = read_skeleton(model)
    kinematics, solids = Kinematics(skeleton), SolidContacts(skeleton)
    assert solids.size == 2
    seen = np.zeros(2)
    for _ in range(300):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
        data.qpos[2] = 0.3 * random.random() - 0.1
        mujoco.mj_forward(model, data)
        found = solids.distances_at_least(kinematics.poses(torch.from_numpy(data.qpos.copy()).float())).numpy()
        for shape, geom in enumerate((1, 2)):
            depths = [contact.dist for contact in data.contact if set(contact.geom) == {0, geom}]
            if depths:
                np.testing.assert_allclose(found[shape], min(depths), rtol=0, atol=1e-4)
                seen[shape] += 1
            else:
                assert found[shape] > -1e-5
    assert (seen > 30).all()


def test_nothing_touches_that_is_apart() -> None:
    model = mujoco.MjModel.from_xml_string(HEAP)
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    skeleton = read_skeleton(model)
    kinematics, solids = Kinematics(skeleton), SolidContacts(skeleton)
    names = [shape.frame.name for shape in skeleton.shapes]
    pairs = [frozenset((names[pair.first], names[pair.second])) for pair in solids.pairs]
    assert not {frozenset(pair) for pair in (("rod", "ball"), ("floor", "box"), ("floor", "flat"))} & set(pairs)
    assert {
        frozenset(pair) for pair in (("floor", "can"), ("wall", "ball"), ("box", "rod"), ("floor", "stone"))
    } <= set(pairs)
    touched, apart = dict.fromkeys(pairs, 0), dict.fromkeys(pairs, 0)
    for _ in range(1500):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.5)
        data.qpos[2::7] -= 0.3  # Closer to the floor.
        mujoco.mj_forward(model, data)
        distances = dict(
            zip(
                pairs,
                solids.distances_at_least(kinematics.poses(torch.from_numpy(data.qpos).float())).tolist(),
                strict=True,
            )
        )
        for contact in data.contact:
            pair = frozenset(model.geom(geom).name for geom in contact.geom)
            if pair in touched:
                touched[pair] += 1
                assert distances[pair] < contact.dist - contact.includemargin + 1e-5
        for pair, distance in distances.items():
            apart[pair] += distance > 0
    assert min(touched.values()) > 5
    assert min(apart.values()) > 100


def test_contacts_are_mujocos() -> None:
    model = mujoco.MjModel.from_xml_string(HEAP)
    data, random = mujoco.MjData(model), np.random.default_rng(1)
    skeleton = read_skeleton(model)
    kinematics, solids = Kinematics(skeleton, torch.float64).double(), SolidContacts(skeleton).double()
    names = [shape.frame.name for shape in skeleton.shapes]
    states, expected = [], []
    for state in range(400):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.4)
        mujoco.mj_forward(model, data)
        states.append(data.qpos.copy())
        for contact in data.contact:
            if contact.exclude == 0:  # The others are in a gap.
                first, second = (model.geom(geom).name for geom in contact.geom)
                depth = contact.dist - contact.includemargin
                expected.append((state, first, second, *contact.pos, depth, *contact.frame[:3]))
    looked_at = [{names[pair.first], names[pair.second]} for pair in solids.pairs]
    expected = sorted(row for row in expected if {row[1], row[2]} in looked_at)
    sample, pair, gaps = solids.touching(kinematics.poses(torch.from_numpy(np.array(states))))
    found = []
    for row, which, *numbers in zip(sample.tolist(), pair.tolist(), *(part.numpy() for part in gaps[:3]), strict=True):
        distance, position, normal = numbers
        one, other = (names[shape] for shape in (solids.pairs[which].first, solids.pairs[which].second))
        # The normal leads away from the second shape, MuJoCo's from its first geom.
        found.append((row, one, other, *position, distance, *-normal))
        found.append((row, other, one, *position, distance, *normal))
    found = sorted(row for row in found if row[:3] in {wanted[:3] for wanted in expected})
    assert len(expected) > 500
    assert [row[:3] for row in found] == [row[:3] for row in expected]
    off = np.abs(np.array([row[3:] for row in found]) - np.array([row[3:] for row in expected])).max(-1)
    # MuJoCo's search is for 1e-6 metres, and finds other points of edges that are side by side, of boxes and cylinders.
    assert np.quantile(off, 0.9) < 1e-5
    assert off.max() < 0.02


def test_pairs_within_a_distance_are_those_that_mujoco_finds_with_such_a_margin() -> None:
    model = mujoco.MjModel.from_xml_string(HEAP)
    wide = mujoco.MjModel.from_xml_string(HEAP)
    wide.geom_margin[:] += 0.05  # Two geoms' margins add up.
    data, random, skeleton = mujoco.MjData(wide), np.random.default_rng(2), read_skeleton(model)
    kinematics, solids = Kinematics(skeleton, torch.float64).double(), SolidContacts(skeleton).double()
    names = [shape.frame.name for shape in skeleton.shapes]
    pairs = [frozenset((names[pair.first], names[pair.second])) for pair in solids.pairs]
    agreed = 0
    for _ in range(100):
        mujoco.mj_resetData(wide, data)
        mujoco.mj_integratePos(wide, data.qpos, random.normal(size=wide.nv), 0.6)
        mujoco.mj_forward(wide, data)
        found = solids.within(kinematics.poses(torch.from_numpy(data.qpos.copy()).unsqueeze(0)), 0.1)[0]
        pushing = [contact for contact in data.contact if contact.exclude == 0]
        wanted = {frozenset(model.geom(geom).name for geom in contact.geom) for contact in pushing} & set(pairs)
        agreed += {pairs[place] for place in found.nonzero().flatten().tolist()} == wanted
    assert agreed >= 98  # MuJoCo's search is for 1e-6 metres.


def test_depths_have_mujocos_gradient() -> None:
    model = mujoco.MjModel.from_xml_string(BLOCKS)
    skeleton = read_skeleton(model)
    kinematics, solids = Kinematics(skeleton, torch.float64).double(), SolidContacts(skeleton).double()
    qpos = torch.tensor([[0.02, 0.01, 0.19, 0.3], [0.05, -0.02, 0.18, -0.2]], dtype=torch.float64)

    def deepest(qpos: torch.Tensor) -> torch.Tensor:
        sample, _, gaps = solids.touching(kinematics.poses(qpos))
        return torch.stack([gaps.distance[sample == state].min() for state in range(len(qpos))])

    asked = qpos.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(deepest(asked).sum(), asked)
    for dof in range(qpos.shape[1]):
        moved = torch.zeros_like(qpos)
        moved[:, dof] = 1e-6
        expected = (deepest(qpos + moved) - deepest(qpos - moved)) / 2e-6
        torch.testing.assert_close(slopes[:, dof], expected, rtol=1e-4, atol=1e-5)
