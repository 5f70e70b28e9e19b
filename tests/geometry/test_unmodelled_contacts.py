"""How far shapes are apart whose contacts are not modelled, against MuJoCo's."""

import mujoco
import numpy as np
import torch

from mosim.geometry import Kinematics, UnmodelledContacts, read_skeleton

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

# Boxes, cylinders and ellipsoids among others; the floor and what is round are modelled.
HEAP = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" pos="0 0 -1"/>
    <geom name="wall" type="box" size=".1 1 1" pos="-.8 0 0" euler="0 0 20"/>
    <body><freejoint/><geom name="box" type="box" size=".1 .2 .4"/></body>
    <body><freejoint/><geom name="flat" type="ellipsoid" size=".3 .1 .2" pos=".1 0 0" euler="20 0 0"/></body>
    <body><freejoint/><geom name="can" type="cylinder" size=".2 .1"/></body>
    <body><freejoint/><geom name="rod" type="capsule" size=".05 .4" euler="0 40 0"/></body>
    <body><freejoint/><geom name="ball" type="sphere" size=".2"/></body>
  </worldbody>
</mujoco>
"""


def test_cylinders_are_as_far_from_planes_as_mujoco_says() -> None:
    model = mujoco.MjModel.from_xml_string(CYLINDERS)
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    skeleton = read_skeleton(model)
    kinematics, others = Kinematics(skeleton), UnmodelledContacts(skeleton)
    assert others.size == 2
    seen = np.zeros(2)
    for _ in range(300):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
        data.qpos[2] = 0.3 * random.random() - 0.1
        mujoco.mj_forward(model, data)
        found = others(kinematics.poses(torch.from_numpy(data.qpos.copy()).float())).numpy()
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
    kinematics, others = Kinematics(skeleton), UnmodelledContacts(skeleton)
    names = [shape.frame.name for shape in skeleton.shapes]
    pairs = [frozenset((names[pair.first], names[pair.second])) for pair in others.pairs]
    assert not {frozenset(pair) for pair in (("rod", "ball"), ("floor", "box"), ("floor", "flat"))} & set(pairs)
    assert {frozenset(pair) for pair in (("floor", "can"), ("wall", "ball"), ("box", "rod"))} <= set(pairs)
    touched, apart = dict.fromkeys(pairs, 0), dict.fromkeys(pairs, 0)
    for _ in range(1500):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 0.5)
        data.qpos[2::7] -= 0.3  # Closer to the floor.
        mujoco.mj_forward(model, data)
        distances = dict(
            zip(pairs, others(kinematics.poses(torch.from_numpy(data.qpos).float())).tolist(), strict=True)
        )
        for contact in data.contact:
            pair = frozenset(model.geom(geom).name for geom in contact.geom)
            if pair in touched:
                touched[pair] += 1
                assert distances[pair] < contact.dist + 1e-5
        for pair, distance in distances.items():
            apart[pair] += distance > 0
    assert min(touched.values()) > 5
    assert min(apart.values()) > 100
