"""Couplings and fixed tendons: MuJoCo's rows, and its own numbers found from steps."""

import mujoco
import numpy as np
import pytest
import torch

from mosim.geometry import Coupling, FixedTendon
from mosim.models import (
    NeuralSimulator,
    Statistics,
    fit_constraints,
    identify,
)
from mosim.models.mosim.identification.free_rows import uncoupled
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import read_facts
from mosim.tasks import load_task
from physics_steps import CONFIG, transitions
from random_steps import random_steps
from true_mechanics import true_mechanics

COUPLED = """
<mujoco>
  <option timestep="0.002"><flag contact="disable"/></option>
  <worldbody>
    <body pos="0 0 1">
      <joint name="root" axis="0 1 0" damping="0.5"/>
      <geom type="capsule" fromto="0 0 0 .4 0 0" size=".04"/>
      <body pos=".4 0 0">
        <joint name="finger" axis="0 1 0" ref="20" damping="0.05" armature="0.002"/>
        <geom type="capsule" fromto="0 0 0 .2 0 .1" size=".03"/>
      </body>
      <body pos=".4 0 .1">
        <joint name="thumb" axis="0 1 0" damping="0.08" armature="0.001"/>
        <geom type="capsule" fromto="0 0 0 .2 .1 0" size=".03"/>
        <body pos=".2 0 0">
          <joint name="tip" axis="1 1 0" damping="0.02" armature="0.001"/>
          <geom type="box" size=".05 .02 .01"/>
        </body>
      </body>
    </body>
  </worldbody>
  <tendon>
    <fixed name="both" stiffness="3" damping="0.1" springlength=".1">
      <joint joint="root" coef=".5"/><joint joint="tip" coef="2"/>
    </fixed>
    <fixed name="difference"><joint joint="finger" coef="1"/><joint joint="thumb" coef="-2"/></fixed>
  </tendon>
  <equality>
    <tendon tendon1="difference" polycoef="0.1" solref="0.03 1" solimp="0.9 0.97 0.02"/>
    <tendon name="off" tendon1="both" active="false"/>
    <joint name="curved" joint1="tip" joint2="root" polycoef="0 1 2" active="false"/>
  </equality>
  <actuator><motor joint="root" gear="2"/><position tendon="both" kp="2"/><motor joint="thumb" gear=".2"/></actuator>
</mujoco>
"""


def test_what_an_mjcf_couples_is_read() -> None:
    model = mujoco.MjModel.from_xml_string(COUPLED)
    skeleton = read_facts(model, "coupled").skeleton
    assert skeleton.tendons == (
        FixedTendon(name="both", links=(0, 3), coefficients=(0.5, 2.0)),
        FixedTendon(name="difference", links=(1, 2), coefficients=(1.0, -2.0)),
    )
    [coupling] = skeleton.couplings  # One is off, and a curve is none.
    assert coupling.links == (1, 2)
    # MuJoCo measures from the reference pose.
    assert coupling.value == pytest.approx(0.1 + np.radians(20))
    assert isinstance(coupling, Coupling)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_EQUALITY)
    assert not read_facts(model, "coupled").skeleton.couplings


def test_a_balance_without_couplings_has_none_of_their_forces() -> None:
    facts = load_task("quadruped-walk").facts
    balances = uncoupled(facts)
    assert len(balances) == facts.nv - 4
    for coupling in facts.skeleton.couplings:
        force = np.zeros(facts.nv)
        force[[facts.skeleton.links[link].dof_address for link in coupling.links]] = coupling.coefficients
        for balance in balances:
            assert force[list(balance.dofs)] @ balance.weights == pytest.approx(0.0, abs=1e-12)


def test_steps_of_coupled_joints_give_mujocos_numbers() -> None:
    model = mujoco.MjModel.from_xml_string(COUPLED)
    facts = read_facts(model, "coupled")
    states, actions, next_states = random_steps(model)
    simulator = NeuralSimulator(facts, CONFIG, Statistics.of(facts, states.numpy(), next_states.numpy()))
    masses = identify(simulator, states, actions, next_states)
    assert masses.exact
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    found, true = predictor.mechanics(), true_mechanics(model, facts, predictor)
    factor = float(true.gear[0, 0] / found.gear[0, 0])
    # The servo's own stiffness is the tendon's: 2 more than the MJCF's.
    assert factor * float(found.tendon_stiffness[0]) == pytest.approx(3 + 2, rel=1e-3)
    assert factor * float(found.tendon_damping[0]) == pytest.approx(0.1, rel=1e-3)
    torch.testing.assert_close(factor * found.damping[[0, 3]], true.damping[[0, 3]], rtol=1e-3, atol=1e-5)
    fit = fit_constraints(simulator, states, actions, next_states)
    assert fit.seen == fit.constraints == 1
    # What masses do along the coupling is not told by balances without it.
    assert fit.after < 0.1 * fit.before
    # A step is as near MuJoCo's as a step of the whole data moves: the coupling holds.
    error = (simulator.double().step(states, actions) - next_states).detach()
    moved = (next_states - states).square().mean(0)
    assert (error.square().mean(0) / moved).max() < 1e-4


def test_damping_of_coupled_fingers_is_no_armature() -> None:
    """Armature and a damping of their tendon would move them alike, and make the whole robot's balance seem exacter."""
    task = load_task("manipulator-bring_ball")
    states, actions, next_states = (part.float() for part in transitions(task, episodes=10, steps=300))
    statistics = Statistics.of(task.facts, states.numpy(), next_states.numpy())
    simulator = NeuralSimulator(task.facts, CONFIG, statistics)
    identify(simulator, states, actions, next_states)
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    found, true = predictor.mechanics(), true_mechanics(task.model, task.facts, predictor)
    arm = slice(0, 8)  # All of the arm's forces may be larger by one factor.
    factor = found.gear[0, 0] / true.gear[0, 0]
    torch.testing.assert_close(found.damping[arm], factor * true.damping[arm], rtol=0.01, atol=1e-6)
    assert (found.armature[arm] < 1e-3 * task.facts.timestep * found.damping[arm]).all()
    assert found.tendon_damping.max() < 1e-3 * found.damping[4]
