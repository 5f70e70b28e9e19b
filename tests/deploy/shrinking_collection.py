"""Collects on a cluster of two nodes with a CPU each; one is removed while it has work and the other has none left.

python shrinking_collection.py FOLDER
"""

import sys
import time
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from mosim.trajectories import Policy, PolicyBehaviour, collect

EPISODES, STEPS = 10, 20
"""Two shards: one for each node."""

BEHAVIOUR = PolicyBehaviour(policy="turning")


def turning(observation: np.ndarray) -> np.ndarray:
    return np.tanh(observation[:2])


def main(out: Path) -> None:
    out.mkdir()
    began = out / "began"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        doomed = cluster.add_node(num_cpus=1)
        cluster.add_node(num_cpus=1)
        cluster.connect()
        doomed_id = doomed.node_id

        def load_policy(reference: str) -> Policy:
            del reference
            if ray.get_runtime_context().get_node_id() == doomed_id:
                return stop_working
            return work_beside_the_other

        def stop_working(observation: np.ndarray) -> np.ndarray:
            began.touch()
            time.sleep(600)
            return turning(observation)

        def work_beside_the_other(observation: np.ndarray) -> np.ndarray:
            while not began.exists():
                time.sleep(0.01)
            return turning(observation)

        def remove(done: int, total: int) -> None:
            if 0 < done < total:
                cluster.remove_node(doomed, allow_graceful=False)

        collect(
            "reacher-easy", out / "data", EPISODES, STEPS, BEHAVIOUR, 2, load_policy=load_policy, on_progress=remove
        )
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
