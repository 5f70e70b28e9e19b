"""Noise of measured states: found from windows, and taken out of positions."""

import numpy as np
import pytest
import torch

from mosim.data import PoissonBehaviour, collect_episode
from mosim.models import MeasurementNoise, NeuralSimulator, Statistics, fit_steps, identify, smoothed_positions
from mosim.tasks import load_task
from physics_steps import CONFIG, transitions, with_true_masses

REACH = 8


def windows(task, episodes: int, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All windows of `2 * REACH + 1` states."""
    states, actions = [], []
    for index in range(episodes):
        episode = collect_episode(task, PoissonBehaviour(), steps, 0, index)
        for start in range(steps - 2 * REACH):
            states.append(episode.states[start : start + 2 * REACH + 1])
            actions.append(episode.actions[start : start + 2 * REACH])
    return torch.from_numpy(np.stack(states)), torch.from_numpy(np.stack(actions))


def noisy(simulator: NeuralSimulator, states: torch.Tensor, position: float, velocity: float) -> torch.Tensor:
    """With noise in units of displacements and velocities; positions by their displacement, so that they stay valid."""
    space, statistics = simulator.space, simulator.statistics
    generator = torch.Generator().manual_seed(0)
    qpos, qvel = space.split(states)
    noise = [torch.randn(qvel.shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    return torch.cat(
        [
            space.integrate(qpos, position * statistics.displacement_std * noise[0]),
            qvel + velocity * statistics.velocity_std * noise[1],
        ],
        dim=-1,
    )


@pytest.mark.parametrize("name", ["cheetah-run", "acrobot-swingup", "humanoid-walk"])
def test_noise_is_found_and_positions_become_less_noisy(name: str) -> None:
    task = load_task(name)
    states, actions = windows(task, episodes=2, steps=150)
    flat = states.flatten(0, 1).numpy()
    statistics = Statistics.of(task.facts, flat[:-1], flat[1:])
    simulator = with_true_masses(task, statistics).double()
    position, velocity = 0.3, 0.02
    measured = noisy(simulator, states, position, velocity)
    noise = MeasurementNoise.of(simulator, measured, actions)
    assert noise.of_positions
    # The windows overlap, which makes some five hundred independent values of each.
    assert float(noise.position.median()) == pytest.approx(position, rel=0.15)
    # What the simulator does not know, here how contacts and limits give way, counts as noise of velocities.
    assert 0.8 * velocity < float(noise.velocity.median()) < (1.2 if name == "acrobot-swingup" else 5) * velocity
    true, _ = simulator.space.split(states[:, REACH])
    before, _ = simulator.space.split(measured[:, REACH])
    after = smoothed_positions(simulator, noise, measured)
    left, right = (simulator.space.difference(true, qpos).square().mean(0) for qpos in (before, after))
    assert bool((right < 0.5 * left).all())


def test_without_noise_positions_stay() -> None:
    task = load_task("cheetah-run")
    states, actions = windows(task, episodes=1, steps=60)
    flat = states.flatten(0, 1).numpy()
    simulator = with_true_masses(task, Statistics.of(task.facts, flat[:-1], flat[1:])).double()
    noise = MeasurementNoise.of(simulator, states, actions)
    assert not noise.of_positions
    after = smoothed_positions(simulator, noise, states)
    torch.testing.assert_close(after, states[:, REACH, : task.facts.nq], rtol=0, atol=1e-6)


def test_a_fit_of_steps_is_less_biased_by_noise_than_the_balance_of_forces() -> None:
    task = load_task("acrobot-swingup")
    states, actions, nexts = transitions(task, episodes=6, steps=300)
    statistics = Statistics.of(task.facts, states.numpy(), nexts.numpy())
    exact = with_true_masses(task, statistics)
    generator = torch.Generator().manual_seed(0)
    velocities = torch.cat([torch.zeros(task.facts.nq), statistics.velocity_std]).double()
    measured = [
        part + 0.02 * velocities * torch.randn(part.shape, generator=generator, dtype=torch.float64)
        for part in (states, nexts)
    ]
    simulator = NeuralSimulator(task.facts, CONFIG, statistics)

    def error() -> float:
        with torch.no_grad():
            found, wanted = (model.step(states.float(), actions.float()) for model in (simulator, exact))
        return float((found - wanted).square().mean())

    identify(simulator, measured[0], actions, measured[1])
    before = error()
    fit = fit_steps(simulator, measured[0], actions, measured[1])
    assert fit.mechanics
    assert error() < 0.3 * before
    assert str(fit).startswith("masses and joint forces by least squares on 1800 transitions: the median error")
