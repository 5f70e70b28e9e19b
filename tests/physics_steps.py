"""Steps of true physics, and a simulator with MuJoCo's own masses, for the tests of what is found from steps."""

import mujoco
import numpy as np
import torch

from mosim.data import PoissonBehaviour, collect_episode
from mosim.models import ConstraintsConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from true_mechanics import true_mechanics

CONFIG = NeuralSimulatorConfig(predictor="articulated", constraints=ConstraintsConfig(), correctors=())


def transitions(task, episodes: int, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    found = [collect_episode(task, PoissonBehaviour(), steps, 0, index) for index in range(episodes)]
    states, nexts, actions = (
        np.concatenate(parts)
        for parts in zip(*((item.states[:-1], item.states[1:], item.actions) for item in found), strict=True)
    )
    return torch.from_numpy(states), torch.from_numpy(actions), torch.from_numpy(nexts)


def single_steps(model: mujoco.MjModel, count: int, seed: int = 0, spread: float = 1.0) -> tuple[torch.Tensor, ...]:
    """States, actions and next states: one step each from random states, many of them in the floor or in limits."""
    data, random = mujoco.MjData(model), np.random.default_rng(seed)
    lower, upper = np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, (-1.0, 1.0)).T
    rows: tuple[list[np.ndarray], ...] = ([], [], [])
    for _ in range(count):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), spread)
        data.qvel[:] = 3 * random.normal(size=model.nv)
        data.ctrl[:] = random.uniform(lower, upper)
        rows[0].append(np.concatenate([data.qpos, data.qvel]))
        rows[1].append(data.ctrl.copy())
        mujoco.mj_step(model, data)
        rows[2].append(np.concatenate([data.qpos, data.qvel]))
    return tuple(torch.from_numpy(np.array(part)) for part in rows)


def with_true_masses(task, statistics: Statistics) -> NeuralSimulator:
    simulator = NeuralSimulator(task.facts, CONFIG, statistics)
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    predictor.assign(true_mechanics(task.model, task.facts, predictor))
    return simulator
