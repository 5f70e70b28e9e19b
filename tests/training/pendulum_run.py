"""A short training on a few pendulum episodes, shared by tests and run as a process of its own to be killed.

python pendulum_run.py OUT [--resume]
"""

import functools
import sys
from pathlib import Path

import torch

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import CorrectorConfig, NetworkConfig, NeuralSimulatorConfig
from mosim.tasks import load_task
from mosim.training import Recipe, Report, StageConfig, Trainer, TrainingData
from mosim.training import trainer as trainer_module

SMALL = NetworkConfig(width=16, depth=1)
RECIPE = Recipe(
    model=NeuralSimulatorConfig(
        inertia=SMALL, bias=SMALL, actuation=SMALL, correctors=(CorrectorConfig(network=SMALL),) * 2
    ),
    stages=(
        StageConfig(name="predictor", learns=("predictor",), steps=300, batch_size=64, warmup_steps=20),
        StageConfig(name="first", learns=("corrector/0",), steps=200, batch_size=64, warmup_steps=20),
        StageConfig(name="second", learns=("corrector/1",), steps=250, batch_size=32, horizon=4, warmup_steps=20),
    ),
)


@functools.cache
def trajectories(episodes: int = 6, steps: int = 120) -> Trajectories:
    task = load_task("pendulum-swingup")
    return Trajectories.of(
        task.facts, [collect_episode(task, PoissonBehaviour(), steps, 0, index) for index in range(episodes)]
    )


def make_trainer(
    out: Path,
    recipe: Recipe = RECIPE,
    resume: bool = False,
    data: Trajectories | None = None,
    compile_steps: bool = False,
) -> Trainer:
    data = trajectories() if data is None else data
    return Trainer(
        system="pendulum-swingup",
        recipe=recipe,
        data=TrainingData.of(data, "test"),
        out=out,
        compile_steps=compile_steps,
        resume=resume,
    )


def announce(report: Report) -> None:
    sys.stdout.write(f"{report.step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer_module.CHECKPOINT_SECONDS = 0.0  # At every report, so that a kill can fall between stages' ends too.
    make_trainer(Path(sys.argv[1]), resume="--resume" in sys.argv).run(announce)
