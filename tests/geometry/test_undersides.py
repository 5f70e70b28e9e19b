"""Distances of cylinders from planes, against MuJoCo's."""

import mujoco
import numpy as np
import torch

from mosim.geometry import Kinematics, Undersides, read_skeleton

ROUND = """
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


def test_distances_are_mujocos() -> None:
    model = mujoco.MjModel.from_xml_string(ROUND)
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    skeleton = read_skeleton(model)
    kinematics, undersides = Kinematics(skeleton), Undersides(skeleton)
    assert undersides.size == 2
    seen = np.zeros(2)
    for _ in range(300):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
        data.qpos[2] = 0.3 * random.random() - 0.1
        mujoco.mj_forward(model, data)
        found = undersides(kinematics.poses(torch.from_numpy(data.qpos.copy()).float())).numpy()
        for shape, geom in enumerate((1, 2)):
            depths = [contact.dist for contact in data.contact if set(contact.geom) == {0, geom}]
            if depths:
                np.testing.assert_allclose(found[shape], min(depths), rtol=0, atol=1e-4)
                seen[shape] += 1
            else:
                assert found[shape] > -1e-5
    assert (seen > 30).all()
