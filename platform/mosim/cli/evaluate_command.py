"""`mosim evaluate`: horizon errors of a simulator on held-out trajectories."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import parse
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.core.console import LOG_FILE, console, quiet
from mosim.core.errors import MosimError
from mosim.core.locks import locked
from mosim.data import HELD_OUT_EPISODES, Dataset
from mosim.evaluation import STANDARD_HORIZONS
from mosim.experiments.pipeline import (
    HELD_OUT_SUFFIX,
    STANDARD,
    calibration_summary,
    default_dataset,
    horizon_summary,
    measure_simulator,
    pick_device,
)
from mosim.robots import require_fit
from mosim.tasks import find_system
from mosim.training import read_checkpoint


class Options(TrackedOptions):
    """Measure a simulator's horizon error on held-out trajectories.

    For comparison, persistence (predict no change) and the chaos floor (MuJoCo itself, started 1e-6 away) are measured
    from the same starts.

    Without --data, the dataset in data/TASK-held-out is used, where TASK is the simulator's task. If there is none,
    standard data are collected there first.

    Writes horizon.csv (one row per model and horizon), horizon_curve.csv (every step), horizon_dimensions.csv and
    horizon.png. For a simulator that has an uncertainty, such as an ensemble, it also writes calibration.csv and
    calibration.png: the uncertainty beside the error at every step, the share of errors within twice the uncertainty,
    and the rank correlation of the two.

      mosim evaluate runs/reacher-easy
      mosim evaluate runs/reacher-easy --data data/heldout --out evaluation --horizons 1 16
    """

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")] = Field(
        description="A checkpoint, or the folder of a training run."
    )
    data: Annotated[str | None, tyro.conf.arg(metavar="DATASET")] = Field(
        default=None,
        description="A dataset that the simulator was not trained on. If omitted: data/TASK-held-out, where "
        f"{HELD_OUT_EPISODES} episodes are collected if there are none.",
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None,
        description="Folder for the tables and the plot. If omitted: evaluation, in the folder of the training run.",
    )
    horizons: tuple[int, ...] = Field(
        default=STANDARD_HORIZONS, min_length=1, description="Horizons to evaluate, in physics steps."
    )
    starts: int = Field(default=400, ge=1, description="Rollouts per horizon; fewer if the episodes have fewer starts.")
    seed: int = Field(default=0, ge=0, description="Seed of the random choice of starts.")
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = Field(
        default=None, description="The true system, if it is not the one that the checkpoint names."
    )
    device: str = Field(default="auto", description="Device of the simulator: auto, cpu, cuda, cuda:1, ...")
    threads: int = Field(default=1, ge=1, description="CPU threads for torch and for MuJoCo.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "evaluate", arguments)
    if wrong := [horizon for horizon in options.horizons if horizon < 1]:
        raise MosimError(f"--horizons {wrong[0]}: a horizon must be at least 1 physics step.")
    checkpoint = read_checkpoint(options.checkpoint)
    system = find_system(options.task, checkpoint.system, "--task", f"the simulator in {options.checkpoint}")
    given = None if options.data is None else Dataset.open(options.data)
    out = _default_out(options.checkpoint, checkpoint.path) if options.out is None else options.out
    device = pick_device(options.device)
    require_fit(checkpoint.facts, system.facts, f"the simulator in {options.checkpoint}")
    with locked(out):
        if given is None:
            with quiet(out / LOG_FILE, options.verbose):
                given = default_dataset(system, STANDARD.held_out, HELD_OUT_SUFFIX)
        require_fit(given.facts, system.facts, f"the dataset at {given.uri}")
        with tracked_command(options, out, "evaluate", system.source) as tracked:
            result = measure_simulator(
                checkpoint=checkpoint.path,
                system=system,
                dataset=given,
                out=out,
                horizons=options.horizons,
                starts=options.starts,
                seed=options.seed,
                device=device,
                threads=options.threads,
                tracked=tracked,
            )
    console.print(horizon_summary(result.table))
    if result.calibration is not None:
        console.print(calibration_summary(result.calibration, options.horizons))
    for file in result.files:
        console.print(f"wrote {file}")


def _default_out(named: Path, checkpoint: Path) -> Path:
    """Beside the checkpoints of the run that was named, not inside the checkpoint, whose files are what was written."""
    return (checkpoint.parent.parent if named == checkpoint else named) / "evaluation"
