"""Dry friction: MuJoCo's own strength found from steps, and joints that stick."""

import mujoco
import numpy as np
import pytest
import torch

from mosim.models import (
    NeuralSimulator,
    Statistics,
    fit_constraints,
    identify,
)
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import read_facts
from physics_steps import CONFIG
from random_steps import random_steps
from true_mechanics import true_mechanics

RUBBING = """
<mujoco>
  <option timestep="0.002"><flag contact="disable"/></option>
  <worldbody>
    <body pos="0 0 1">
      <joint name="shoulder" axis="0 1 0" damping="0.05" frictionloss="0.2" armature="0.01"/>
      <geom type="capsule" fromto="0 0 0 .3 0 0" size=".03"/>
      <body pos=".3 0 0">
        <joint name="elbow" axis="0 1 0" damping="0.02" armature="0.005"/>
        <geom type="capsule" fromto="0 0 0 .2 0 .1" size=".03"/>
        <body pos=".2 0 .1">
          <joint name="wrist" axis="1 0 0" frictionloss="0.01" armature="0.001"/>
          <geom type="box" size=".05 .02 .01" pos="0 .02 0"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="shoulder" gear="5"/><motor joint="elbow"/><motor joint="wrist" gear=".05"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="module")
def learned() -> tuple[mujoco.MjModel, NeuralSimulator]:
    model = mujoco.MjModel.from_xml_string(RUBBING)
    facts = read_facts(model, "rubbing")
    states, actions, next_states = random_steps(model)
    simulator = NeuralSimulator(facts, CONFIG, Statistics.of(facts, states.numpy(), next_states.numpy()))
    masses = identify(simulator, states, actions, next_states)
    assert masses.exact
    fit = fit_constraints(simulator, states, actions, next_states)
    assert fit.seen == fit.constraints == 2
    assert fit.after < 1e-5
    return model, simulator


def test_steps_give_mujocos_strength(learned: tuple[mujoco.MjModel, NeuralSimulator]) -> None:
    model, simulator = learned
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    assert [joint.dry_friction for joint in simulator.facts.joints] == [True, False, True]
    found, true = predictor.mechanics(), true_mechanics(model, simulator.facts, predictor)
    factor = true.gear[0, 0] / found.gear[0, 0]
    torch.testing.assert_close(factor * found.dry_friction, true.dry_friction, rtol=1e-3, atol=0)


def test_what_sticks_in_mujoco_sticks(learned: tuple[mujoco.MjModel, NeuralSimulator]) -> None:
    model, simulator = learned
    model.opt.gravity[:] = 0
    simulator = simulator.double()
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    predictor.tree.gravity.zero_()
    data = mujoco.MjData(model)
    data.qvel[:] = (0.3, 0.0, 0.5)
    states = [np.concatenate([data.qpos, data.qvel])]
    for _ in range(300):
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
    true = torch.from_numpy(np.array(states))
    found = simulator.rollout(true[0], torch.zeros(300, model.nu, dtype=torch.float64)).detach()
    assert true[-1, 3].abs() < 1e-3  # It has come to rest.
    torch.testing.assert_close(found, true[1:], rtol=0, atol=1e-4)


def test_where_mujocos_option_is_off_there_is_none() -> None:
    model = mujoco.MjModel.from_xml_string(RUBBING)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_FRICTIONLOSS)
    assert not any(joint.dry_friction for joint in read_facts(model, "rubbing").joints)
