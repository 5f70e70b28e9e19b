"""An entry in the leaderboard that uses nothing of mosim: ridge regression on random features, in numpy.

    mosim collect cheetah-run --episodes 300 --seed 0 --out data/cheetah-run
    mosim leaderboard starts cheetah-run --out starts.npz
    python examples/leaderboard_entry.py data/cheetah-run starts.npz predictions.npz
    mosim leaderboard score cheetah-run predictions.npz --name "random features" --knowledge arrays

It reads the episodes from the dataset's Parquet files, learns by how much a state changes in a physics step, and
predicts step by step from the last known state. docs/leaderboard.md describes the files of starts and predictions.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

FEATURES = 1500
RIDGE = 1e-4
"""Share of the mean square of the features that is added to it."""

CHUNK = 20_000


def main(data: Path, starts: Path, out: Path) -> None:
    """Trains, predicts and writes."""
    began = time.perf_counter()
    model = RandomFeatures(*transitions(data))
    minutes = (time.perf_counter() - began) / 60
    print(f"trained in {minutes:.2f} minutes; {model.weights.size:,} weights")
    given = np.load(starts)
    predicted = {"dataset": given["dataset"]}
    for name in given.files:
        if name.startswith("actions_"):
            horizon = name.removeprefix("actions_")
            predicted[f"states_{horizon}"] = model.predict(given[f"known_{horizon}"][:, -1], given[name])
    np.savez(out, **predicted)


def transitions(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, actions and next states of all episodes. An episode's last row has a state and no action."""
    rows: tuple[list[np.ndarray], ...] = ([], [], [])
    for path in sorted((folder / "shards").glob("*.parquet")):
        table = pq.read_table(path)
        episode = table["episode"].to_numpy()
        states = np.stack(table["state"].to_numpy(zero_copy_only=False))
        same = np.flatnonzero(episode[1:] == episode[:-1])
        actions = table["action"].to_pylist()
        rows[0].append(states[same])
        rows[1].append(np.array([actions[row] for row in same]))
        rows[2].append(states[same + 1])
    before, action, after = (np.concatenate(part) for part in rows)
    return before, action, after


class RandomFeatures:
    """A state's change as a linear function of itself, the action, and random half-waves of both."""

    def __init__(self, before: np.ndarray, action: np.ndarray, after: np.ndarray) -> None:
        random = np.random.default_rng(0)
        inputs, change = np.concatenate([before, action], axis=1), after - before
        self.mean, self.std = inputs.mean(0), inputs.std(0) + 1e-9
        self.size = change.std(0) + 1e-12
        self.lowest, self.highest = before.min(0), before.max(0)
        self.directions = random.normal(size=(inputs.shape[1], FEATURES)) / np.sqrt(inputs.shape[1])
        self.shifts = random.normal(size=FEATURES)
        squares, products = 0.0, 0.0
        for first in range(0, len(inputs), CHUNK):
            features = self.features(inputs[first : first + CHUNK])
            squares = squares + features.T @ features
            products = products + features.T @ (change[first : first + CHUNK] / self.size)
        squares = np.asarray(squares)
        ridge = RIDGE * np.trace(squares) / len(squares)
        self.weights = np.linalg.solve(squares + ridge * np.eye(len(squares)), products)

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """`(n, FEATURES + inputs + 1)`."""
        scaled = (inputs - self.mean) / self.std
        waves = np.maximum(scaled @ self.directions + self.shifts, 0.0)
        return np.concatenate([waves, scaled, np.ones((len(scaled), 1))], axis=1)

    def predict(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """States after each of the actions, `(starts, steps, state)`; never beyond what the data show."""
        states = []
        for action in np.moveaxis(actions, 1, 0):
            change = self.features(np.concatenate([state, action], axis=1)) @ self.weights * self.size
            state = np.clip(state + change, self.lowest, self.highest)
            states.append(state)
        return np.stack(states, axis=1)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python examples/leaderboard_entry.py DATASET STARTS.npz PREDICTIONS.npz")
    main(*(Path(argument) for argument in sys.argv[1:]))
