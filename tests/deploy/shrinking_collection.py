"""Collects on a cluster of two nodes with a CPU each; one is removed while it has work and the other has none left.

BEGUN=FILE python shrinking_collection.py FOLDER
"""

import sys

import ray
from ray.cluster_utils import Cluster

from mosim.data import PolicyBehaviour, collect

EPISODES, STEPS = 10, 20
"""Two shards: one for each node."""

BEHAVIOUR = PolicyBehaviour(policy="meeting_policy:act")


def main(out: str) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        lost = cluster.add_node(num_cpus=1, env_vars={"LOST_HOST": "1"})
        cluster.add_node(num_cpus=1)
        cluster.connect()

        def remove(done: int, total: int) -> None:
            if 0 < done < total:
                cluster.remove_node(lost, allow_graceful=False)

        collect("reacher-easy", out, EPISODES, STEPS, BEHAVIOUR, workers=2, on_progress=remove)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
