"""Steps of one dataset that are, nearly, in another too, which makes a held-out error too small."""

import hashlib

import numpy as np

from mosim.core.frozen import Frozen
from mosim.data.dataset import Dataset
from mosim.data.inspection.surveyor import Surveyor

NEAR = 1e-3
"""Distance below which a step of the other dataset counts as a near duplicate: the root mean square of the difference
of state and action, in standard deviations."""

_PROBES = 1000
"""Steps whose nearest neighbour is looked for."""

_PROBE_SEED = 1

_BLOCK_ROWS = 4096
"""Steps of the other dataset that all probes are compared with at once, to bound memory."""


class Overlap(Frozen):
    """How much of a dataset is in another.

    Attributes:
      uri, id: of the other.
      same_episodes: episodes whose states and actions are all in the other, each with the one there.
      probes: steps whose nearest neighbour in the other was looked for.
      near_duplicates: share of them whose neighbour is nearer than `NEAR`.
      nearest_median: of the distances to the nearest neighbour, in standard deviations; null without probes.
    """

    uri: str
    id: str
    same_episodes: tuple[tuple[int, int], ...]
    probes: int
    near_duplicates: float
    nearest_median: float | None


def overlap(seen: Surveyor, other: Dataset) -> Overlap:
    """Looks for what was seen in another dataset of the same system, shard by shard.

    Raises:
      DamagedFileError: a shard of the other is missing or damaged.
    """
    steps = np.concatenate([seen.sample, seen.sampled_actions], axis=1)
    steps = steps[np.isfinite(steps).all(axis=1)]
    random = np.random.default_rng(_PROBE_SEED)
    probes = steps[np.sort(random.choice(len(steps), min(_PROBES, len(steps)), replace=False))]
    deviation = steps.std(axis=0) if len(steps) else np.ones(steps.shape[1])
    moving = deviation > 0
    scaled, nearest = probes[:, moving] / deviation[moving], np.full(len(probes), np.inf)
    first_of = {digest: index for index, digest in reversed(list(enumerate(seen.digests)))}
    same, number = [], 0
    for part in other.parts():
        for index in range(len(part)):
            episode = part.episode(index)
            digest = hashlib.sha256(episode.states.tobytes() + episode.actions.tobytes()).digest()
            if digest in first_of:
                same.append((first_of[digest], number))
            number += 1
        rows = np.concatenate([part.states, part.actions], axis=1)[:, moving]
        rows = rows[np.isfinite(rows).all(axis=1)] / deviation[moving]
        if len(rows) and len(scaled):
            nearest = np.minimum(nearest, _nearest(scaled, rows))
    found = np.isfinite(nearest)
    return Overlap(
        uri=other.uri,
        id=other.id,
        same_episodes=tuple(same),
        probes=len(probes),
        near_duplicates=float(np.mean(nearest < NEAR)) if len(probes) else 0.0,
        nearest_median=float(np.median(nearest[found])) if found.any() else None,
    )


def _nearest(probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The distance of each probe to the nearest row: the root of the mean square over columns."""
    nearest = np.full(len(probes), np.inf)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        squares = (block**2).sum(axis=1) - 2 * probes @ block.T  # Less the same for every row.
        closest = block[np.argmin(squares, axis=1)]
        # Once more without the cancellation, which hides what is nearer than a millionth.
        nearest = np.minimum(nearest, np.sqrt(((probes - closest) ** 2).mean(axis=1)))
    return nearest
