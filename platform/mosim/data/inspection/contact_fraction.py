"""How often a system touches something, or itself."""

from itertools import groupby

import mujoco
import numpy as np

from mosim.data.inspection.surveyor import Surveyor
from mosim.robots import System

_LOOKED_AT = 20_000
"""States whose contacts are found, at most."""


def contact_share(seen: Surveyor, system: System) -> tuple[float | None, int]:
    """The share of a dataset's states in which MuJoCo finds a contact, and how many states that is of.

    Args:
      seen: the dataset.
      system: its system.
    """
    finite = np.flatnonzero(np.isfinite(seen.sample).all(axis=1))
    rows = finite[np.unique(np.linspace(0, len(finite) - 1, min(len(finite), _LOOKED_AT)).astype(int))]
    touching, positions = 0, system.facts.layout.qpos
    for episode, of_episode in groupby(rows.tolist(), key=lambda row: int(seen.sampled_episodes[row])):
        context = seen.contexts[episode]
        model = system.model_for(context) if context.size else system.model
        data = mujoco.MjData(model)
        for row in of_episode:
            data.qpos[:] = seen.sample[row, positions]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_collision(model, data)
            touching += bool(data.ncon and np.any(data.contact.dist < data.contact.includemargin))
    return (touching / len(rows) if len(rows) else None), len(rows)
