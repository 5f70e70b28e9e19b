"""`mosim evaluate`: horizon errors of a simulator on held-out trajectories."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.evaluation_phase import horizon_summary, measure_simulator
from mosim.cli.parsing import parse
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.cli.training_phase import pick_device
from mosim.console import console
from mosim.errors import MosimError
from mosim.evaluation import STANDARD_HORIZONS
from mosim.systems import load_system
from mosim.training import read_checkpoint
from mosim.trajectories import Dataset


class Options(TrackedOptions):
    """Measure a simulator's horizon error on held-out trajectories.

    Beside it stand hold-last (predict no change) and the perturbed twin (MuJoCo, started 1e-6 away: the floor that
    chaos sets), on the same starts.

    Writes horizon.csv (a row a model and horizon), horizon_curve.csv (every step), horizon_dimensions.csv and
    horizon.png.

      mosim collect reacher-easy --out data/heldout --episodes 50 --seed 1
      mosim evaluate runs/reacher --data data/heldout --out runs/reacher/evaluation
    """

    checkpoint: tyro.conf.Positional[Path] = Field(description="A checkpoint, or the folder of a training run.")
    data: str = Field(description="A dataset that the simulator was not trained on.")
    out: Path = Field(description="Folder for tables and plot.")
    horizons: tuple[int, ...] = Field(default=STANDARD_HORIZONS, min_length=1, description="Physics steps.")
    starts: int = Field(default=400, ge=1, description="Rollouts a horizon; fewer where the episodes hold fewer.")
    seed: int = Field(default=0, ge=0, description="Of the choice of starts.")
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = Field(
        default=None, description="The true system, where it is not the one that the checkpoint names."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")
    threads: int = Field(default=1, ge=1, description="Torch's threads on the CPU, and MuJoCo's.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "evaluate", arguments)
    if wrong := [horizon for horizon in options.horizons if horizon < 1]:
        raise MosimError(f"--horizons {wrong[0]}: a horizon is 1 physics step or more.")
    checkpoint = read_checkpoint(options.checkpoint)
    system = load_system(options.task or checkpoint.system)
    dataset = Dataset.open(options.data)
    with tracked_command(options, options.out, "evaluate", system.source) as tracked:
        result = measure_simulator(
            checkpoint=checkpoint.path,
            system=system,
            dataset=dataset,
            out=options.out,
            horizons=options.horizons,
            starts=options.starts,
            seed=options.seed,
            device=pick_device(options.device),
            threads=options.threads,
            tracked=tracked,
        )
    console.print(horizon_summary(result.table))
    for file in result.files:
        console.print(f"wrote {file}")
