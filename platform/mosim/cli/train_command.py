"""`mosim train`: a neural simulator from trajectories, in stages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import parse, peek, peek_positional, with_recipe
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.cli.training_phase import pick_device, train_simulator
from mosim.console import console
from mosim.systems import load_system
from mosim.training import Recipe, load_recipe
from mosim.trajectories import Dataset


class Options(TrackedOptions):
    """Train a neural simulator of a task's or an MJCF file's physics, stage by stage.

    Without --recipe, the system's own recipe is used if mosim ships one, else a general one. Every field of the recipe
    is a flag below, whose default is the recipe's. After Ctrl-C or a crash, the same command with --resume goes on.

      mosim collect reacher-easy --out data/train
      mosim train reacher-easy --data data/train --out runs/reacher --minutes 5
    """

    task: tyro.conf.Positional[str] = Field(description="A task as domain-task, or the path of an MJCF file.")
    data: str = Field(description="The dataset: a path, or a URI such as s3://bucket/data.")
    out: Path = Field(description="Folder for checkpoints and the log.")
    recipe_file: Annotated[Path | None, tyro.conf.arg(name="recipe", metavar="FILE")] = Field(
        default=None, description="A YAML file with model and stages."
    )
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = Field(
        default=None, gt=0, description="Fit the stages into this wall-clock budget, each keeping its share."
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Go on from the last checkpoint in --out, if there is one."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")
    threads: int = Field(default=1, ge=1, description="Torch's threads on the CPU; small networks are fastest with 1.")
    recipe: Annotated[Recipe, tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "train", arguments, default=_defaults(arguments))
    system = load_system(options.task)
    recipe = options.recipe
    if options.minutes is not None:
        recipe = recipe.within(options.minutes)
    device = pick_device(options.device)
    dataset = Dataset.open(options.data)
    with tracked_command(options, options.out, "train", system.source) as tracked:
        path = train_simulator(
            system=system.source,
            facts=system.facts,
            recipe=recipe,
            dataset=dataset,
            out=options.out,
            device=device,
            threads=options.threads,
            resume=options.resume,
            tracked=tracked,
        )
        tracked.log_artifact(path, "checkpoint")
    console.print(f"checkpoint: {path}")
    console.print(f"measure it: mosim evaluate {options.out} --data HELD_OUT_DATASET --out {options.out}/evaluation")


def _defaults(arguments: Sequence[str]) -> Options:
    """Options whose recipe is the one that the arguments name, so that its fields become flags with these defaults."""
    task, file = peek_positional(arguments), peek(arguments, "--recipe")
    name = "" if task is None else load_system(task).facts.name
    return with_recipe(Options, recipe=load_recipe(name, None if file is None else Path(file)))
