"""Fits to noisy states of what contacts push now and then."""

from copy import deepcopy

import mujoco
import numpy as np
import pytest
import torch

from mechanisms import compiled
from mosim.data import Trajectories
from mosim.models import NeuralSimulator
from mosim.models.mosim.identification.noisy_steps import NoisySteps, untouched
from mosim.models.mosim.identification.solving import solve
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import SystemFacts
from mosim.training import TrainingData
from mosim.training.windows import WindowSampler
from physics_steps import CONFIG
from true_mechanics import true_mechanics

BOUNCING = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body pos="0 0 0.3">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <joint name="turn" type="hinge" axis="0 1 0"/>
      <geom type="sphere" size="0.1" mass="1"/>
      <geom type="capsule" fromto="0 0 0 .2 0 0" size=".05" mass=".5"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" gear="2" ctrlrange="-1 1"/>
    <motor joint="z" gear="30" ctrlrange="-1 1"/>
    <motor joint="turn" gear=".5" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""
EPISODES, STEPS = 10, 200


def bounces(model: mujoco.MjModel, facts: SystemFacts, share: float) -> Trajectories:
    """Episodes of random controls; `share` is the noise of each channel over its standard deviation."""
    data, random, states, actions = mujoco.MjData(model), np.random.default_rng(0), [], []
    for _ in range(EPISODES):
        mujoco.mj_resetData(model, data)
        data.qvel[:] = random.normal(size=model.nv)
        for step in range(STEPS + 1):
            if step % 10 == 0:
                data.ctrl[:] = random.uniform(-1, 1, model.nu)
            states.append(np.concatenate([data.qpos, data.qvel]))
            actions.append(data.ctrl.copy())
            mujoco.mj_step(model, data)
    measured, offsets = np.array(states), (STEPS + 1) * np.arange(EPISODES + 1)
    measured += share * measured.std(axis=0) * random.normal(size=measured.shape)
    return Trajectories(facts, measured, np.array(actions), offsets, np.zeros((EPISODES, 0)))


def predictor_of(simulator: NeuralSimulator) -> ArticulatedPredictor:
    assert isinstance(simulator.predictor, ArticulatedPredictor)
    return simulator.predictor


def with_true_masses(model: mujoco.MjModel, facts: SystemFacts, data: TrainingData) -> NeuralSimulator:
    simulator = NeuralSimulator(facts, CONFIG, data.statistics)
    predictor_of(simulator).assign(true_mechanics(model, facts, predictor_of(simulator)))
    return simulator


def test_contacts_that_noise_hides_do_not_bias_masses() -> None:
    model, facts = compiled(BOUNCING)
    data = TrainingData.of(bounces(model, facts, 0.01), "noisy")
    training = WindowSampler(*data.tensors(torch.device("cpu")), data.offsets, range(EPISODES), seed=0)
    exact = with_true_masses(model, facts, data)
    states, actions = (part.double() for part in training.spread(500, 1))
    qpos, qvel = exact.space.split(states[:, 0])

    @torch.no_grad()
    def error(simulator: NeuralSimulator) -> float:
        found, wanted = (
            predictor_of(each).smooth_acceleration(qpos, qvel, each.scaled(actions[:, 0]))
            for each in (simulator, exact)
        )
        return float(((found - wanted) / data.statistics.acceleration_std).square().mean())

    errors: list[float] = []

    def validation_error() -> float:
        errors.append(error(simulator))
        return 1.0

    simulator = NeuralSimulator(facts, CONFIG, data.statistics)
    found = solve(simulator, ("predictor",), training, validation_error)
    assert "; where nothing pushes, masses and joint forces by least squares on " in found
    _, together, _, apart, *_ = errors
    assert apart < 0.2 * together
    assert "; and all of their numbers: constraints by least squares on " in found


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_steps_count_as_untouched_where_noise_cannot_hide_a_contact(share: float) -> None:
    model, facts = compiled(BOUNCING)
    measured, true = bounces(model, facts, share), bounces(model, facts, 0.0)
    data = TrainingData.of(measured, "noisy")
    training = WindowSampler(*data.tensors(torch.device("cpu")), data.offsets, range(EPISODES), seed=0)
    simulator = with_true_masses(model, facts, data)
    before = deepcopy(simulator.state_dict())
    steps = NoisySteps(simulator, training).seen_by(simulator)
    free = untouched(simulator, steps)
    assert 0.2 < float(free.double().mean()) < 0.8
    assert all(torch.equal(before[name], weight) for name, weight in simulator.state_dict().items())
    # Windows of 33 states, the step after the 16th of each.
    rows = np.concatenate([np.arange(STEPS - 31) + 16 + (STEPS + 1) * episode for episode in range(EPISODES)])
    contacts, scratch = [], mujoco.MjData(model)
    for row in rows[free.numpy()]:
        scratch.qpos[:] = true.states[row, : model.nq]
        mujoco.mj_forward(model, scratch)
        contacts.append(scratch.ncon > 0)
    assert np.mean(contacts) <= 0.01
