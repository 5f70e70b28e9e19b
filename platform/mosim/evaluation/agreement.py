"""How far rollouts of a written model and of its simulator are from one another, and each from the truth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mosim.core.threads import single_threaded
from mosim.data import Trajectories
from mosim.evaluation.horizon import draw_starts, predict, share_starts, squared_errors
from mosim.models import MujocoDynamics, NeuralSimulator
from mosim.robots import System

PAIRS = ("written, simulator", "written, truth", "simulator, truth")


@single_threaded
@torch.no_grad()
def agreement(
    simulator: NeuralSimulator, written: System, trajectories: Trajectories, horizons: Sequence[int], starts: int
) -> pd.DataFrame:
    """Horizon errors between a simulator, the model that was written of it, and trajectories, from the same starts.

    Args:
      simulator: on the CPU.
      written: the model.
      trajectories: the truth, under whose actions both predict.
      horizons: physics steps; those that are longer than every episode are left out.
      starts: how many are drawn.

    Returns:
      A row a horizon: `horizon`, `starts`, and of each of `PAIRS` its mean squared error under its own name, and the
      median over starts under `<pair> median`.
    """
    longest = int(trajectories.lengths.max())
    rows = []
    for group in share_starts([horizon for horizon in horizons if horizon <= longest], longest):
        drawn = draw_starts(trajectories, group[-1], starts, seed=0)
        places = drawn[:, None] + np.arange(group[-1] + 1)
        truth, actions = torch.from_numpy(trajectories.states[places]), trajectories.actions[places[:, :-1]]
        by_simulator = predict(simulator, truth[:, :1], actions)
        by_written = predict(MujocoDynamics(written), truth[:, :1], actions)
        pairs = ((by_written, by_simulator), (by_written, truth[:, 1:]), (by_simulator, truth[:, 1:]))
        errors = [squared_errors(*pair).mean(-1) for pair in pairs]
        for horizon in group:
            each = [error[:, :horizon].mean(-1) for error in errors]
            named = zip(PAIRS, each, strict=True)
            row = {"horizon": horizon, "starts": len(drawn)}
            for name, error in named:
                row |= {name: float(error.mean()), f"{name} median": float(error.median())}
            rows.append(row)
    return pd.DataFrame(rows)
