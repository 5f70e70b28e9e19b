"""Collects on a cluster that has no node with a CPU yet; prints as JSON how many nodes there were, and when.

RAY_ADDRESS=HOST:PORT python growing_collection.py FOLDER
"""

import json
import sys
import time

import ray

from mosim.data import collect
from mosim.jobs import ray_cluster

_PATIENCE = 60.0
"""Seconds that idle nodes have for being let go."""


def main(out: str) -> None:
    with ray_cluster.started():
        told = {"before": _nodes(), "during": 0}

        def watch(done: int, total: int) -> None:
            del done, total
            told["during"] = max(told["during"], _nodes())

        dataset = collect("pendulum-swingup", out, episodes=60, steps=1000, workers=2, seed=3, on_progress=watch)
        told["episodes"] = dataset.metadata.finished_episodes
        deadline = time.monotonic() + _PATIENCE
        while _nodes() > told["before"] and time.monotonic() < deadline:
            time.sleep(0.5)
        told["after"] = _nodes()
    print(json.dumps(told))  # noqa: T201 The test reads it.


def _nodes() -> int:
    return sum(node["Alive"] for node in ray.nodes())


if __name__ == "__main__":
    main(*sys.argv[1:])
