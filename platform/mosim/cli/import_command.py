"""`mosim import`: trajectories from an `.npz` file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console
from mosim.data import import_npz


class Options(CommandOptions):
    """Import trajectories from an .npz file that has an array data, or arrays states and actions.

    Arrays such as terminals, timeouts, lengths, episode_ends or mask mark the ends of episodes. A sample of the steps
    is replayed in MuJoCo. Data that cannot be motion of the system are rejected, with the likely cause.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")] = Field(description="The .npz file.")
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
    dataset = import_npz(options.file, options.system, options.out, options.allow_mismatch)
    console.print(
        f"{dataset.metadata.episodes} episodes, {dataset.physics_steps} physics steps; "
        f"dataset {dataset.id} in {dataset.uri}",
    )
