"""Steps of MuJoCo models under random controls."""

import mujoco
import numpy as np
import torch


def random_steps(model: mujoco.MjModel, episodes: int = 10, length: int = 150) -> tuple[torch.Tensor, ...]:
    """States, actions and next states of episodes with random controls."""
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    rows: tuple[list[np.ndarray], ...] = ([], [], [])
    for _ in range(episodes):
        mujoco.mj_resetData(model, data)
        data.qpos[:] += 0.2 * random.normal(size=model.nq)
        for step in range(length):
            if step % 10 == 0:
                data.ctrl[:] = random.uniform(-1, 1, model.nu)
            rows[0].append(np.concatenate([data.qpos, data.qvel]))
            rows[1].append(data.ctrl.copy())
            mujoco.mj_step(model, data)
            rows[2].append(np.concatenate([data.qpos, data.qvel]))
    return tuple(torch.from_numpy(np.array(part)) for part in rows)
