"""One of several replicas that train a pendulum together, as a process of its own.

python replica_run.py OUT STORE RANK COUNT STEPS OPTIMIZER
"""

import sys
from pathlib import Path
from typing import cast

import torch
import torch.distributed
from pendulum_run import RECIPE, trajectories

from mosim.training import OptimizerName, Recipe, Replicas, Trainer, TrainingData


def shortened(steps: int = 120, optimizer: OptimizerName = "adam") -> Recipe:
    """By default trained by Adam, whose steps change by as much as the gradients do.

    SOAP turns gradients by the eigenvectors of their covariance, which has directions of next to no gradient: there
    another order of summation is another direction, and the runs part after some steps, to end equally good.
    """
    changes = {"steps": steps, "optimizer": optimizer}
    return RECIPE.model_copy(update={"stages": tuple(stage.model_copy(update=changes) for stage in RECIPE.stages)})


def make_replica(out: Path, replicas: Replicas, recipe: Recipe) -> Trainer:
    return Trainer(
        system="pendulum-swingup",
        recipe=recipe,
        data=TrainingData.of(trajectories(), "test"),
        out=out,
        replicas=replicas,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, store, (rank, count, steps) = Path(sys.argv[1]), sys.argv[2], map(int, sys.argv[3:6])
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    recipe = shortened(steps, cast(OptimizerName, sys.argv[6]))
    make_replica(out, Replicas(rank, count), recipe).run(lambda report: None)
    torch.distributed.destroy_process_group()
