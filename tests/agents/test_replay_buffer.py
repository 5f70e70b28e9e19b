"""Replayed actions against the stream of steps they came from."""

from typing import Any

import numpy as np
import pytest
import torch

from mosim.agents.rllib.replay_buffer import ReplayBuffer

ENVS, GAMMA = 3, 0.9


def stream(steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Steps whose observations count them, episodes of three to six of them, some over and some cut."""
    random = np.random.default_rng(seed)
    valid, terminated, truncated = (np.zeros((steps, ENVS), bool) for _ in range(3))
    for env in range(ENVS):
        step = 0
        while step < steps:
            length = int(random.integers(3, 7))
            valid[step : step + length, env] = True
            if step + length <= steps:
                (terminated if random.random() < 0.5 else truncated)[step + length - 1, env] = True
            step += length + 1  # The step after an end is a reset.
    count = np.arange(steps + 1)[:, None] * 10.0 + np.arange(ENVS)
    return {
        "observation": np.stack([count, -count], axis=-1).astype(np.float32),
        "action": count[:-1, :, None].astype(np.float32),
        "reward": random.normal(size=(steps, ENVS)).astype(np.float32),
        "terminated": terminated,
        "ended": terminated | truncated,
        "valid": valid,
    }


def part(steps: dict[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: values[start : stop + (name == "observation")] for name, values in steps.items()}


def filled(steps: dict[str, np.ndarray], capacity: int, fragment: int) -> ReplayBuffer:
    buffer = ReplayBuffer(capacity, ENVS, 2, 1)
    for start in range(0, len(steps["reward"]), fragment):
        buffer.add(part(steps, start, start + fragment))
    return buffer


@pytest.mark.parametrize(("capacity", "fragment"), [(1000, 1), (60, 1), (60, 7), (30, 40)])
@pytest.mark.parametrize("n_step", [1, 3])
def test_what_is_drawn_is_what_happened(capacity: int, fragment: int, n_step: int) -> None:
    total = 80
    steps = stream(total)
    buffer = filled(steps, capacity, fragment)
    assert len(buffer) == min(total, capacity // ENVS)
    torch.manual_seed(0)
    drawn = buffer.sample(2000, n_step, GAMMA)
    seen = set()
    for row in range(2000):
        step, env = np.divmod(int(drawn["action"][row, 0]), 10)
        assert total - len(buffer) <= step < total
        assert steps["valid"][step, env]
        seen.add((step, env))
        reward, last = 0.0, step
        for ahead in range(n_step):
            last = step + ahead
            reward += GAMMA**ahead * steps["reward"][last, env]
            if steps["ended"][last, env] or last + 1 == total:
                break
        assert drawn["reward"][row] == pytest.approx(reward, abs=1e-5)
        assert drawn["n_step"][row] == last - step + 1
        np.testing.assert_array_equal(drawn["observation"][row], steps["observation"][step, env])
        np.testing.assert_array_equal(drawn["next_observation"][row], steps["observation"][last + 1, env])
        assert drawn["terminated"][row] == steps["terminated"][last, env]
    assert len(seen) == steps["valid"][-len(buffer) :].sum(), "every action that is kept can be drawn"
    assert drawn["terminated"].any()


@pytest.mark.parametrize("capacity", [1000, 60])
def test_a_restored_buffer_goes_on_as_the_one_it_was(capacity: int) -> None:
    steps = stream(80)
    buffers: list[Any] = [filled(part(steps, 0, 50), capacity, 5), ReplayBuffer(capacity, ENVS, 2, 1)]
    buffers[1].set_state(buffers[0].get_state())
    drawn = []
    for buffer in buffers:
        buffer.add(part(steps, 50, 80))
        torch.manual_seed(1)
        drawn.append(buffer.sample(300, 3, GAMMA))
        assert buffer.added == 80
    for name, values in drawn[0].items():
        np.testing.assert_array_equal(values, drawn[1][name], err_msg=name)
