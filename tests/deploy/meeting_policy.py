"""A policy for collections on two hosts, so that one is lost while it has work, however fast they are.

On the host to be lost, which has LOST_HOST in its environment, it begins and never ends; elsewhere it waits until the
other has begun, which the file that BEGUN names shows.
"""

import os
import time
from pathlib import Path

import numpy as np


def act(observation: np.ndarray) -> np.ndarray:
    begun = Path(os.environ["BEGUN"])
    if "LOST_HOST" in os.environ:
        begun.touch()
        time.sleep(600)
    while not begun.exists():
        time.sleep(0.01)
    return turning(observation)


def turning(observation: np.ndarray) -> np.ndarray:
    return np.tanh(observation[:2])
