"""The global random generators."""

import random

import numpy as np
import torch


def seed_everything(*seed: int) -> None:
    """Seeds every global generator of this process: Python's, numpy's and torch's.

    Args:
      seed: integers that are at least 0; each sequence of them gives draws of its own.
    """
    state = np.random.SeedSequence(seed).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))  # noqa: NPY002 RLlib draws from the global generator.
    torch.manual_seed(int(state[2]))
