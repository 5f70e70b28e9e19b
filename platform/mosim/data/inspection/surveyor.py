"""Looks through a dataset shard by shard, so that memory stays small."""

import hashlib
from collections.abc import Iterator

import numpy as np

from mosim.data.dataset import Dataset, Trajectories
from mosim.data.inspection.running_statistics import Holds, Moments, Place
from mosim.data.inspection.sampled_steps import StepSampler
from mosim.data.inspection.survey import ActuatorUse, Coverage, Survey
from mosim.geometry import JointFacts
from mosim.robots import SystemFacts

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

SAMPLED_ROWS = 50_000
"""States that quantiles and contacts are taken from, at most; drawn at random where there are more."""

_SAMPLE_SEED = 0

_AT_BOUND = 1e-6
"""How near to the end of the control range an action counts as at it, as a share of the range."""

_UNIT = 1e-3
"""How far from 1 a quaternion's length may be."""


class Surveyor:
    """Looks at a dataset once, shard by shard, and keeps a sample of its states.

    Attributes:
      sample: states, `(sampled, nq + nv)`.
      sampled_actions: those taken there, `(sampled, nu)`; zero in an episode's last state.
      sampled_episodes: which episode each is of, `(sampled,)`.
      steps: for `mosim.data.check_steps`.
      contexts: of every episode, `(episodes, context_size)`.
      digests: of every episode, `(episodes,)` bytes: equal where states and actions are.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Reads all of it.

        Raises:
          DamagedFileError: a shard is missing or damaged; names the file.
        """
        self._dataset, self._facts = dataset, dataset.facts
        self._states, self._actions = Moments(dataset.facts.state_size), Moments(dataset.facts.nu)
        self._holds, self._lengths = Holds(), []
        self._limited = list(_limits(dataset.facts))
        self._beyond, self._any_beyond, self._crooked = np.zeros(len(self._limited)), 0, 0
        self._uses = np.zeros((3, dataset.facts.nu))
        self._same_start, self._first = True, np.empty(0)
        self.digests: list[bytes] = []
        samples, actions, episodes, contexts = [], [], [], []
        chosen = _draw_rows(sum(shard.rows for shard in dataset.metadata.shards))
        row = 0
        sampler = StepSampler(dataset.facts, sum(shard.rows for shard in dataset.metadata.shards))
        for part in dataset.parts():
            self._look_at(part)
            sampler.add(part)
            begin, stop = np.searchsorted(chosen, [row, row + len(part.states)])
            inside = chosen[begin:stop] - row
            samples.append(part.states[inside])
            actions.append(part.actions[inside])
            first = len(self._lengths) - len(part)
            episodes.append(first + np.searchsorted(part.offsets, inside, side="right") - 1)
            contexts.append(part.contexts)
            row += len(part.states)
        nothing = np.empty((0, dataset.facts.state_size)), np.empty((0, dataset.facts.nu)), np.empty(0, int)
        self.steps = sampler.steps()
        self.sample = np.concatenate([nothing[0], *samples])
        self.sampled_actions = np.concatenate([nothing[1], *actions])
        self.sampled_episodes = np.concatenate([nothing[2], *episodes])
        self.contexts = np.concatenate(contexts) if contexts else np.empty((0, 0))

    def survey(self) -> Survey:
        """All that was seen."""
        dataset, metadata, rows = self._dataset, self._dataset.metadata, self._states.rows
        steps = int(np.sum(self._lengths))
        return Survey(
            uri=dataset.uri,
            id=dataset.id,
            source=metadata.source,
            system=dataset.facts.name,
            behaviour=metadata.behaviour,
            seed=metadata.seed,
            episodes=len(self._lengths),
            wanted_episodes=metadata.episodes,
            shortest=min(self._lengths, default=0),
            longest=max(self._lengths, default=0),
            physics_steps=steps,
            seconds=steps * dataset.facts.timestep,
            bytes_on_disk=dataset.bytes_on_disk,
            coverage=tuple(self._coverage()),
            actuators=tuple(self._actuators()),
            held=self._holds.summary(),
            at_limits=self._any_beyond / rows if self._limited and rows else None,
            crooked_quaternions=self._crooked,
            same_start=self._same_start and len(self._lengths) > 1,
            sampled=len(self.sample),
            copies=tuple(copies(self.digests)),
        )

    def _look_at(self, part: Trajectories) -> None:
        first = len(self._lengths)
        self._states.add(part.states, lambda row: _place(part.offsets, row, first))
        for index in range(len(part)):
            episode = part.episode(index)
            self._actions.add(episode.actions, lambda row, number=first + index: Place(episode=number, step=row))
            self._holds.add(episode.actions)
            content = episode.states.tobytes() + episode.actions.tobytes()
            self.digests.append(hashlib.sha256(content).digest())
            self._lengths.append(len(episode.actions))
            self._first = episode.states[0] if not self._first.size else self._first
            self._same_start &= np.array_equal(self._first, episode.states[0])
            self._uses += _uses(episode.actions, self._facts)
        any_beyond = np.zeros(len(part.states), bool)
        for number, (joint, _) in enumerate(self._limited):
            beyond = _beyond(joint, part.states)
            self._beyond[number] += beyond.sum()
            any_beyond |= beyond
        self._any_beyond += int(any_beyond.sum())
        self._crooked += int(_crooked(self._facts, part.states).sum())

    def _coverage(self) -> Iterator[Coverage]:
        shares = {address: 1 - count / max(self._states.rows, 1) for (_, address), count in self._by_address()}
        ranges = {address: joint for joint, address in self._limited if address is not None}
        for index, name in enumerate(self._facts.state_names):
            values = self.sample[:, index]
            values = values[np.isfinite(values)]
            levels = np.quantile(values, QUANTILES).tolist() if values.size else []
            joint = ranges.get(index)
            yield Coverage(
                name=name,
                quantiles=dict(zip(map(str, QUANTILES), levels, strict=False)),
                not_finite=int(self._states.not_finite[index]),
                first_not_finite=self._states.first_not_finite.get(index),
                lower=joint and joint.lower,
                upper=joint and joint.upper,
                within_range=shares.get(index),
                **self._states.summary(index),
            )

    def _by_address(self) -> Iterator[tuple[tuple[JointFacts, int], float]]:
        for (joint, address), count in zip(self._limited, self._beyond, strict=True):
            if address is not None:
                yield (joint, address), count

    def _actuators(self) -> Iterator[ActuatorUse]:
        steps = max(self._actions.rows, 1)
        for index in range(self._facts.nu):
            zero, at_bound, outside = (self._uses[:, index] / steps).tolist()
            yield ActuatorUse(
                name=f"ctrl[{index}]",
                lower=self._facts.control_lower[index],
                upper=self._facts.control_upper[index],
                zero=zero,
                at_bound=at_bound,
                outside=outside,
                not_finite=int(self._actions.not_finite[index]),
                **self._actions.summary(index),
            )


def copies(digests: list[bytes]) -> Iterator[tuple[int, int]]:
    """Episodes that are the same as an earlier one, each with the first of its kind."""
    seen: dict[bytes, int] = {}
    for index, digest in enumerate(digests):
        if (first := seen.setdefault(digest, index)) != index:
            yield index, first


def _draw_rows(total: int) -> np.ndarray:
    if total <= SAMPLED_ROWS:
        return np.arange(total)
    return np.sort(np.random.default_rng(_SAMPLE_SEED).choice(total, SAMPLED_ROWS, replace=False))


def _place(offsets: np.ndarray, row: int, first: int) -> Place:
    index = int(np.searchsorted(offsets, row, side="right")) - 1
    return Place(episode=first + index, step=int(row - offsets[index]))


def _limits(facts: SystemFacts) -> Iterator[tuple[JointFacts, int | None]]:
    """Joints with limits; with the dimension that has the range, of those that turn or slide along one axis."""
    for joint in facts.joints:
        if joint.limited and joint.kind != "free":
            yield joint, joint.qpos_address if joint.kind in ("slide", "hinge") else None


def _beyond(joint: JointFacts, states: np.ndarray) -> np.ndarray:
    """Which states have a joint at its limit or beyond, where MuJoCo pushes it back."""
    position = states[:, joint.qpos_address]
    if joint.kind == "ball":
        # The range of a ball joint is that of the angle by which it is turned.
        angle = 2 * np.arccos(np.clip(np.abs(position), 0, 1))
        return angle >= joint.upper
    return (position <= joint.lower) | (position >= joint.upper)


def _crooked(facts: SystemFacts, states: np.ndarray) -> np.ndarray:
    crooked = np.zeros(len(states), bool)
    for joint in facts.joints:
        if joint.kind in ("ball", "free"):
            start = joint.qpos_address + (3 if joint.kind == "free" else 0)
            lengths = np.linalg.norm(states[:, start : start + 4], axis=-1)
            crooked |= np.isfinite(lengths) & (np.abs(lengths - 1) > _UNIT)
    return crooked


def _uses(actions: np.ndarray, facts: SystemFacts) -> np.ndarray:
    """How many actions are zero, at an end of the control range, and beyond it: `(3, nu)`."""
    lower, upper = np.array(facts.control_lower), np.array(facts.control_upper)
    near = _AT_BOUND * (upper - lower)
    outside = (actions < lower - near) | (actions > upper + near)
    at_bound = ((actions <= lower + near) | (actions >= upper - near)) & ~outside
    return np.stack([(actions == 0).sum(axis=0), at_bound.sum(axis=0), outside.sum(axis=0)])
