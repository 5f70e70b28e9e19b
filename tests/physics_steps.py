"""Steps of true physics, and a simulator with MuJoCo's own masses, for the tests of what is found from steps."""

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


def with_true_masses(task, statistics: Statistics) -> NeuralSimulator:
    simulator = NeuralSimulator(task.facts, CONFIG, statistics)
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    predictor.assign(true_mechanics(task.model, task.facts, predictor))
    return simulator
