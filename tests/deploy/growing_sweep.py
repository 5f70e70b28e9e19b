"""Sweeps on a cluster that has no node with a CPU yet; prints as JSON how many nodes there were, and when.

RAY_ADDRESS=HOST:PORT python growing_sweep.py FOLDER
"""

import json
import sys
import threading
import time
from pathlib import Path

import ray
import yaml

from mosim.cli.main import main as mosim
from mosim.jobs import ray_cluster

SWEEP = {
    "name": "growing",
    "task": "pendulum-swingup",
    "data": {"episodes": 6, "steps": 200},
    "recipe": "recipe.yaml",
    "minutes": 0.1,
    "space": {"stages.0.learning_rate": {"grid": [0.001, 0.003]}},
    "metric": "horizon_mse/16",
    "report_seconds": 1,
}

RECIPE = {"stages": [{"name": "predictor", "learns": ["predictor"], "minutes": 1, "batch_size": 64}]}

_PATIENCE = 60.0
"""Seconds that idle nodes have for being let go."""


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    with ray_cluster.started():
        told, ended = {"before": _nodes(), "during": 0}, threading.Event()

        def watch() -> None:
            while not ended.wait(0.2):
                told["during"] = max(told["during"], _nodes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        mosim(["sweep", str(folder / "sweep.yaml"), "--out", str(folder / "out"), "--tracking-uri", "off"])
        ended.set()
        watcher.join()
        told["trials"] = len((folder / "out" / "trials.csv").read_text().splitlines()) - 1
        deadline = time.monotonic() + _PATIENCE
        while _nodes() > told["before"] and time.monotonic() < deadline:
            time.sleep(0.5)
        told["after"] = _nodes()
    print(json.dumps(told))  # noqa: T201 The test reads it.


def _nodes() -> int:
    return sum(node["Alive"] for node in ray.nodes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
