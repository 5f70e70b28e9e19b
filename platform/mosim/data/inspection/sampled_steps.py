"""A sample of a dataset's steps, each with what lies around it: some at random, and those that move the furthest."""

import heapq
from dataclasses import dataclass

import numpy as np

from mosim.data.dataset import Trajectories
from mosim.robots import SystemFacts

RANDOM_STEPS = 256
"""Steps drawn at random from all episodes."""

FAR_STEPS = 32
"""Steps with the largest change of position, and as many with the largest change of the state, beside other steps."""

_BEFORE, _AFTER = 1, 40
"""Steps of the same episode that are kept before and after each."""

_SEED = 0


@dataclass(frozen=True, repr=False)
class SampledStep:
    """One step and its neighbourhood.

    Attributes:
      episode, step: where it is in the dataset.
      drawn: whether it was drawn at random, and not for moving far.
      at: which of `actions` is its own; the state before it is `states[at]`.
      states: `(1 + steps, nq + nv)`, a few steps of the episode.
      actions: `(steps, nu)`.
      context: of the episode, `(context_size,)`.
    """

    episode: int
    step: int
    drawn: bool
    at: int
    states: np.ndarray
    actions: np.ndarray
    context: np.ndarray


class StepSampler:
    """Takes the sample out of a dataset that is read a part at a time."""

    def __init__(self, facts: SystemFacts, rows: int) -> None:
        """`rows` is how many states the dataset holds in all."""
        self._positions = facts.layout.qpos
        chosen = np.random.default_rng(_SEED).permutation(rows)[: 2 * RANDOM_STEPS]  # Some are the ends of episodes.
        self._chosen = np.sort(chosen)
        self._row = self._episodes = self._serial = 0
        self._drawn: list[SampledStep] = []
        self._far: tuple[list[tuple[float, int, SampledStep]], ...] = ([], [])

    def add(self, part: Trajectories) -> None:
        """Looks at the next episodes. What is not finite is left out."""
        rows = np.concatenate([part.states[:-1], part.actions[:-1], part.states[1:]], axis=1)
        usable = np.append(np.isfinite(rows).all(axis=1), False)
        usable[part.offsets[1:] - 1] = False
        chosen = self._chosen[(self._chosen >= self._row) & (self._chosen < self._row + len(usable))] - self._row
        self._drawn += [self._take(part, int(row), drawn=True) for row in chosen if usable[row]]
        self._add_far(part, np.flatnonzero(usable))
        self._row += len(usable)
        self._episodes += len(part)

    def steps(self) -> list[SampledStep]:
        """The sample, those drawn at random first."""
        far = {(each.episode, each.step): each for kind in self._far for _, _, each in kind}
        order = np.random.default_rng(_SEED).permutation(len(self._drawn))[:RANDOM_STEPS]
        drawn = [self._drawn[index] for index in np.sort(order)]
        for each in drawn:
            far.pop((each.episode, each.step), None)
        return [*drawn, *(far[place] for place in sorted(far))]

    def _add_far(self, part: Trajectories, rows: np.ndarray) -> None:
        if not len(rows):
            return
        change = np.abs(part.states[rows + 1] - part.states[rows])
        usual = np.sqrt((change**2).mean(axis=0))
        change /= np.where(usual > 0, usual, 1.0)
        for kept, columns in zip(self._far, (self._positions, slice(None)), strict=True):
            distance = change[:, columns].max(axis=1)
            for index in np.argsort(-distance, kind="stable")[:FAR_STEPS].tolist():
                self._serial += 1
                entry = (float(distance[index]), self._serial, self._take(part, int(rows[index]), drawn=False))
                heapq.heappush(kept, entry)
            while len(kept) > FAR_STEPS:
                heapq.heappop(kept)

    def _take(self, part: Trajectories, row: int, *, drawn: bool) -> SampledStep:
        episode = int(np.searchsorted(part.offsets, row, side="right")) - 1
        begin, end = int(part.offsets[episode]), int(part.offsets[episode + 1]) - 1
        first, last = max(row - _BEFORE, begin), min(row + 1 + _AFTER, end)
        return SampledStep(
            episode=self._episodes + episode,
            step=row - begin,
            drawn=drawn,
            at=row - first,
            states=part.states[first : last + 1].copy(),
            actions=part.actions[first:last].copy(),
            context=part.contexts[episode].copy(),
        )


def sample_steps(trajectories: Trajectories) -> list[SampledStep]:
    """The sample of trajectories that are all in memory."""
    sampler = StepSampler(trajectories.facts, len(trajectories.states))
    sampler.add(trajectories)
    return sampler.steps()
