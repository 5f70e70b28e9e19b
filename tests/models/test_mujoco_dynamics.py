import mujoco
import numpy as np
import pytest
import torch

from mosim.models import ChaosFloor, MujocoDynamics, Persistence
from mosim.tasks import load_system, load_task


@pytest.mark.parametrize("name", ["reacher-easy", "acrobot-swingup", "humanoid-walk"])
def test_rollout_is_a_loop_of_mj_step(name: str) -> None:
    system = load_system(name)
    facts = system.facts
    random = np.random.default_rng(0)
    starts = np.stack([system.reset([seed]).state for seed in range(3)])
    actions = random.uniform(facts.control_lower, facts.control_upper, (3, 50, facts.nu))
    predicted = MujocoDynamics(system).rollout(torch.from_numpy(starts), torch.from_numpy(actions)).numpy()
    for row, start in enumerate(starts):
        data = mujoco.MjData(system.model)
        data.qpos[:], data.qvel[:] = start[: facts.nq], start[facts.nq :]
        for step in range(50):
            data.ctrl[:] = actions[row, step]
            mujoco.mj_step(system.model, data)
            assert np.array_equal(predicted[row, step], np.concatenate([data.qpos, data.qvel]))


def test_context_that_enters_the_physics_is_each_rows_own() -> None:
    task = load_task("point_mass-hard")
    assert task.context_in_dynamics
    start = task.reset([0]).state
    contexts = np.stack([task.reset([seed]).context for seed in range(2)])
    dynamics = MujocoDynamics(task)
    dynamics.use_contexts(torch.from_numpy(contexts))
    states, actions = torch.from_numpy(np.stack([start, start])), torch.ones(2, 20, 2, dtype=torch.float64)
    first = dynamics.rollout(states, actions)
    assert not torch.equal(first[0], first[1])
    dynamics.use_contexts(torch.from_numpy(contexts[::-1].copy()))
    assert torch.equal(dynamics.rollout(states, actions), first.flip(0))


def test_twin_starts_just_so_far_away_and_keeps_quaternions_whole() -> None:
    system = load_system("humanoid-walk")
    state = torch.from_numpy(system.reset([0]).state)
    actions = torch.zeros(1, 21, dtype=torch.float64)
    truth, twin = MujocoDynamics(system).rollout(state, actions), ChaosFloor(system).rollout(state, actions)
    distance = (truth - twin).norm().item()
    assert 1e-8 < distance < 1e-4
    assert twin[0, 3:7].norm().item() == pytest.approx(1, abs=1e-9)


def test_persistence_holds() -> None:
    system = load_system("reacher-easy")
    state = torch.from_numpy(system.reset([0]).state)
    assert torch.equal(Persistence(system.facts).rollout(state, torch.ones(5, 2)), state.expand(5, -1))
