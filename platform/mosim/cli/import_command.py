"""`mosim import`: trajectories from an `.npz` file, or from a robot's log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console
from mosim.data import import_log, import_npz


class Options(CommandOptions):
    """Import trajectories from an .npz file of states and actions, or a robot's log.

    Without --map, FILE is an .npz file that has an array data, or arrays states and actions. Arrays such as terminals,
    timeouts, lengths, episode_ends or mask mark the ends of episodes.

    With --map, FILE is a log: a CSV, Parquet or .npz file, or a folder of Parquet files such as a LeRobot dataset. The
    map is a YAML file that names the columns of each joint and actuator, with units and signs. The log is cut at gaps
    and resampled to the time step of the system; velocities that it lacks are estimated from the positions, and a delay
    between commands and motion is looked for.

    A sample of the steps is replayed in MuJoCo. Data that cannot be motion of the system are rejected, with the likely
    cause.

      mosim import trajectories.npz --system reacher-easy --out data/reacher
      mosim import log.csv --map arm_log.yaml --system arm.xml --out data/arm
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")] = Field(
        description="The .npz file, or with --map the log."
    )
    log_map: Annotated[Path | None, tyro.conf.arg(name="map", metavar="YAML")] = Field(
        default=None, description="What the columns of a log are; docs/logs.md describes the file."
    )
    system: Annotated[str, tyro.conf.arg(metavar="TASK")] = Field(
        description="The system of the trajectories: a task as domain-task, or the path of an MJCF file."
    )
    out: Annotated[str, tyro.conf.arg(metavar="FOLDER")] = Field(
        description="Folder of the dataset: a path, or a URI such as s3://bucket/data."
    )
    allow_mismatch: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Import data even if they cannot be motion of the system, and only warn."
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "import", arguments)
    if options.log_map is None:
        dataset = import_npz(options.file, options.system, options.out, options.allow_mismatch)
    else:
        dataset = import_log(options.file, options.log_map, options.system, options.out, options.allow_mismatch)
    console.print(
        f"{dataset.metadata.episodes} episodes, {dataset.physics_steps} physics steps; "
        f"dataset {dataset.id} in {dataset.uri}",
    )
