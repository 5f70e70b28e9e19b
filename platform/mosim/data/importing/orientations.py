"""Quaternions of imported states: their length, their sign, and the order of their numbers."""

import numpy as np

from mosim.data.episodes import Episode
from mosim.robots import SystemFacts

_UNIT = 1e-3
"""How far from 1 the length of an orientation's quaternion may be."""

_LARGE, _SMALL = 0.9, 0.5
"""Mean magnitudes of the last and the first number of a quaternion that looks like (x, y, z, w): a robot that stands
upright, or turns about the vertical, has a large w."""


def odd_orientation(episodes: list[Episode], facts: SystemFacts) -> str | None:
    """A sentence on the first orientation that is not a unit quaternion; None where there is none."""
    for episode in episodes:
        for place in facts.layout.quaternions:
            odd = np.abs(np.linalg.norm(episode.states[:, place], axis=1) - 1) > _UNIT
            if odd.any():
                step = int(np.argmax(odd))
                length = float(np.linalg.norm(episode.states[step, place]))
                names = facts.state_names[place.start]
                return (
                    f"the quaternion at {names}, step {step} of episode {episode.index}, has length {length:.3g}; "
                    "orientations must be unit quaternions (w, x, y, z), so normalise them."
                )
    return None


def looks_like_xyzw(episodes: list[Episode], facts: SystemFacts) -> str | None:
    """The name of the first number of an orientation that looks like (x, y, z, w); None where there is none."""
    for place in facts.layout.quaternions:
        values = np.abs(np.concatenate([episode.states[:, place] for episode in episodes])).mean(axis=0)
        if values[3] > _LARGE and values[0] < _SMALL:
            return facts.state_names[place.start]
    return None


def turn_signs(states: np.ndarray, facts: SystemFacts) -> int:
    """Gives each quaternion the sign nearer to the one before it, in place; returns how many were turned."""
    turned = 0
    for place in facts.layout.quaternions:
        opposite = (states[1:, place] * states[:-1, place]).sum(axis=1) < 0
        odd = np.append(False, np.cumsum(opposite) % 2 == 1)
        states[odd, place] *= -1
        turned += int(odd.sum())
    return turned
