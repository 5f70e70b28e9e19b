"""Small MuJoCo models that dynamics tests share, with every kind of joint."""

import mujoco

from mosim.systems import SystemFacts, read_facts

EVERY_JOINT = """
<mujoco>
  <option timestep="0.004" gravity="0 0 -9.81"><flag contact="disable"/></option>
  <worldbody>
    <body name="trunk" pos="0 0 1">
      <freejoint name="root"/>
      <geom type="box" size=".1 .2 .3" mass="2"/>
      <body name="head" pos="0 0 .4">
        <joint name="neck" type="ball"/>
        <geom type="box" size=".05 .08 .1" mass=".5"/>
      </body>
      <body name="arm" pos=".2 0 0">
        <joint name="shoulder" type="hinge" axis="0 1 0" limited="true" range="-60 60"/>
        <joint name="telescope" type="slide" axis="1 0 0"/>
        <geom type="capsule" fromto="0 0 0 .3 0 0" size=".04" mass=".3"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" ctrllimited="true" ctrlrange="-2 1"/>
    <motor joint="telescope" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""

PENDULUM = """
<mujoco>
  <option timestep="0.01" gravity="0 0 -1"/>
  <worldbody>
    <body><joint name="hinge" type="hinge" axis="0 1 0"/><geom type="sphere" size=".01" pos="0 0 -1" mass="1"/></body>
  </worldbody>
</mujoco>
"""


def compiled(xml: str) -> tuple[mujoco.MjModel, SystemFacts]:
    model = mujoco.MjModel.from_xml_string(xml)
    return model, read_facts(model, "mechanism")
