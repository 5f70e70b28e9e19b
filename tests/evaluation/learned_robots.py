"""Robots with simulators that have learned them, which tests of identification share."""

import functools

import mujoco
import numpy as np
import torch

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import ArticulatedPredictor, NeuralSimulator, NeuralSimulatorConfig, Statistics, identify
from mosim.robots import System
from mosim.tasks import load_system

Transitions = tuple[np.ndarray, np.ndarray, np.ndarray]

CONFIG = NeuralSimulatorConfig(predictor="articulated", correctors=())

TWO_LINKS = """
<mujoco>
  <option timestep="0.002"/>
  <worldbody>
    <body name="upper">
      <joint name="shoulder" axis="0 0 1" damping="0.3"/>
      <inertial pos=".2 0 0" mass="2" diaginertia=".01 .02 .03"/>
      <body name="lower" pos=".5 0 0">
        <joint name="elbow" axis="0 0 1" damping="0.1" armature="0.02"/>
        <inertial pos=".1 .03 0" mass="1" diaginertia=".003 .003 .005"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="first" joint="shoulder" gear="5" ctrllimited="true" ctrlrange="-1 1"/>
    <motor name="second" joint="elbow" gear="3" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""


def two_links() -> System:
    """Two links that turn about the vertical, so that gravity does nothing."""
    return System("arm.xml", "arm", mujoco.MjModel.from_xml_string(TWO_LINKS))


def steps(system: System, count: int, controls: float | np.ndarray = 1.0, noise: float = 0.0) -> Transitions:
    """One step each from random states without contacts; `controls` scales actions, `noise` is of the next states."""
    model, data, random = system.model, mujoco.MjData(system.model), np.random.default_rng(0)
    lower, upper = np.array(system.facts.control_lower), np.array(system.facts.control_upper)
    states, actions, next_states = [], [], []
    for _ in range(count):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
        data.qvel[:] = 2 * random.normal(size=model.nv)
        data.ctrl[:] = controls * random.uniform(lower, upper)
        states.append(np.concatenate([data.qpos, data.qvel]))
        actions.append(data.ctrl.copy())
        mujoco.mj_step(model, data)
        next_states.append(np.concatenate([data.qpos, data.qvel]))
    spoilt = np.array(next_states) + noise * random.normal(size=np.shape(next_states))
    return np.array(states), np.array(actions), spoilt


def learned(system: System, transitions: Transitions) -> NeuralSimulator:
    """A simulator with the numbers that balance forces best."""
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, transitions[0], transitions[2]))
    identify(simulator, *(torch.from_numpy(part) for part in transitions))
    return simulator


def predictor_of(simulator: NeuralSimulator) -> ArticulatedPredictor:
    assert isinstance(simulator.predictor, ArticulatedPredictor)
    return simulator.predictor


@functools.cache
def task_data(task: str, episodes: int = 12) -> tuple[System, Trajectories]:
    """A task with episodes of random actions."""
    system = load_system(task)
    behaviour = PoissonBehaviour()
    found = [collect_episode(system, behaviour, 300, 0, index) for index in range(episodes)]
    return system, Trajectories.of(system.facts, found)


def transitions_of(trajectories: Trajectories) -> Transitions:
    rows = trajectories.windows(1)
    return trajectories.states[rows], trajectories.actions[rows], trajectories.states[rows + 1]
