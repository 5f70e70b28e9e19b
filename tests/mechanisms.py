"""Small MuJoCo models that dynamics tests share, with every kind of joint."""

import mujoco

from mosim.robots import SystemFacts, read_facts

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


WELDED_AND_MASSLESS = """
<mujoco>
  <compiler boundmass="0"/>
  <option timestep="0.002" gravity="1 -2 -9"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <worldbody>
    <body pos="3 0 1" quat="0.8 0.6 0 0">
      <joint name="lift" type="slide" axis="1 1 0" armature="0.3" damping="2"/>
      <joint name="yaw" type="hinge" axis="0 1 1" pos="0.1 0 0.2" damping="0.5" stiffness="7" springref="20"/>
      <joint name="pitch" type="hinge" axis="1 0 0" ref="30" armature="0.01"/>
      <body pos="0 0.2 0">
        <geom type="box" size="0.1 0.2 0.3" mass="2" pos="0 0.1 0.05" euler="10 20 30"/>
        <body pos="0.3 0 0.1" euler="0 40 0"><geom type="ellipsoid" size="0.1 0.05 0.2" mass="0.7"/></body>
        <body pos="0 0 0.4">
          <joint name="wrist" type="ball" pos="0 0.05 0" damping="0.2"/>
          <geom type="capsule" size="0.05 0.2" mass="0.5" pos="0.1 0 0"/>
        </body>
      </body>
    </body>
    <body pos="-50 2 0"><freejoint/><geom type="cylinder" size="0.2 0.1" mass="3" pos="0.1 0.2 0.3"/>
      <body pos="0 0 1"><joint name="arm" axis="1 2 3" armature="0.2"/><geom type="sphere" size="0.1" mass="1"/></body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="lift" gear="30" ctrllimited="true" ctrlrange="-2 1"/>
    <motor joint="pitch" gear="-4"/>
    <motor joint="wrist" gear="1 2 0.5"/>
  </actuator>
</mujoco>
"""


IN_A_FLUID = """
<mujoco>
  <option timestep="0.002" density="100" viscosity="0.1" wind="0.2 -0.1 0.3"><flag contact="disable"/></option>
  <worldbody>
    <body name="trunk" pos="0 0 1">
      <freejoint name="root"/>
      <geom type="ellipsoid" size=".04 .1 .06"/>
      <geom type="box" size=".02 .06 .03" pos=".03 .05 .01" euler="20 0 10"/>
      <body name="tail" pos="0 -.1 0" euler="0 0 20">
        <joint name="swing" axis="0 0 1" damping=".01"/>
        <geom name="mark" type="sphere" size=".01" pos="0 -.1 0" mass="0"/>
        <geom name="blade" type="ellipsoid" size=".005 .05 .03" pos="0 -.06 .01" euler="0 10 0"/>
        <body name="tip" pos="0 -.1 0">
          <joint name="twist" type="ball"/>
          <geom type="capsule" fromto="0 0 0 .02 -.06 0" size=".01"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="swing" gear=".05" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


ACTUATORS = """
<mujoco>
  <option timestep="0.005"><flag contact="disable"/></option>
  <worldbody>
    <body name="cart" pos="0 0 1">
      <joint name="rail" type="slide" axis="1 0 0" damping="1"/>
      <geom type="capsule" fromto="-.1 0 0 .1 0 0" size=".05"/>
      <body name="arm">
        <joint name="elbow" axis="0 1 0" damping=".05"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.4" size=".03"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="motor" joint="elbow" ctrllimited="true" ctrlrange="-1 1"/>
    <general name="filter" joint="rail" dyntype="filter" dynprm=".05" gainprm="3" ctrllimited="true" ctrlrange="-2 2"/>
    <general name="exact" joint="elbow" dyntype="filterexact" dynprm=".03" ctrllimited="true" ctrlrange="-1 1"/>
    <general name="integrator" joint="elbow" dyntype="integrator" ctrllimited="true" ctrlrange="-9 9"
             actlimited="true" actrange="-.5 .5"/>
    <muscle name="muscle" joint="elbow" lengthrange="-2 2" ctrllimited="true" ctrlrange="0 1"/>
  </actuator>
</mujoco>
"""
"""Every kind of actuator that has an internal state, beside one that has none."""

SERVOS = """
<mujoco>
  <compiler autolimits="true"/>
  <option timestep="0.002" integrator="implicitfast"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <worldbody>
    <body pos="0 0 1">
      <joint name="shoulder" axis="0 1 0" range="-120 120" damping="0.5" armature="0.02"/>
      <geom type="capsule" fromto="0 0 0 0 0 -.4" size=".04" mass="1.5"/>
      <body pos="0 0 -.4">
        <joint name="elbow" axis="1 1 0" range="-100 100" damping="0.2" armature="0.01"/>
        <geom type="capsule" fromto="0 0 0 0 .1 -.3" size=".03" mass="0.8"/>
        <body pos="0 .1 -.3">
          <joint name="left" type="slide" axis="0 1 0" range="0 0.04" damping="1"/>
          <geom type="box" size=".02 .01 .04" mass="0.1"/>
        </body>
        <body pos="0 .1 -.3">
          <joint name="right" type="slide" axis="0 -1 0" range="0 0.04" damping="2"/>
          <geom type="box" size=".02 .01 .03" mass="0.2"/>
        </body>
      </body>
    </body>
  </worldbody>
  <tendon>
    <fixed name="grip"><joint joint="left" coef="0.5"/><joint joint="right" coef="0.25"/></fixed>
  </tendon>
  <actuator>
    <position name="shoulder" joint="shoulder" kp="300" kv="8" forcerange="-12 9" ctrlrange="-2 2"/>
    <velocity name="elbow" joint="elbow" kv="3" gear="-1.5" forcerange="-4 4" ctrlrange="-6 6"/>
    <general name="fingers" tendon="grip" ctrlrange="0 255" gainprm="0.1" biastype="affine" biasprm="1 -800 -9"
      forcerange="-7 6"/>
  </actuator>
</mujoco>
"""

SERVOS_IN_EULERS_STEP = SERVOS.replace("implicitfast", "Euler").replace('kp="300" kv="8"', 'kp="60" kv="2"')
