"""`mosim train`: a neural simulator from trajectories, in stages."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import parse_with_recipes, with_recipe
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.core.console import LOG_FILE, console, quiet
from mosim.core.errors import MosimError
from mosim.core.locks import locked
from mosim.core.run_identity import check_identity
from mosim.data import TRAINING_EPISODES, Dataset
from mosim.experiments.pipeline import (
    STANDARD,
    TRAINING_SUFFIX,
    default_dataset,
    pick_device,
    recipe_line,
    train_simulator,
)
from mosim.robots import System, label_of, require_fit
from mosim.tasks import load_system
from mosim.training import Recipe, find_recipe, read_checkpoint, run_identity


class Options(TrackedOptions):
    """Train a neural simulator of a task or an MJCF file, stage by stage.

    Without --data, the dataset in data/TASK is used; if there is none, standard data are collected there first. Without
    --recipe, the recipe that mosim ships for the system is used, or else a general one. Both have the knowledge level
    tree: the simulator knows that the robot is a kinematic tree of masses, and knows its geometry. With --recipe
    geometry, it knows only the geometry; with --recipe arrays, only states, actions, the time step and the kinds of
    joints. Every field of the recipe is a flag below; its default is the recipe's value. After Ctrl-C or a crash, the
    same command with --resume continues.

      mosim train reacher-easy
      mosim train reacher-easy --data s3://bucket/reacher --out runs/reacher --minutes 5
      mosim train humanoid-walk --recipe geometry/large --workers 8 --address auto --out /shared/humanoid
    """

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")] = Field(
        description="A task as domain-task, or the path of an MJCF file."
    )
    data: Annotated[str | None, tyro.conf.arg(metavar="DATASET")] = Field(
        default=None,
        description="Path of the training data, or a URI such as s3://bucket/data. If omitted: data/TASK, where "
        f"{TRAINING_EPISODES} episodes are collected if there are none.",
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None,
        description="Folder for checkpoints and the log. If omitted: runs/TASK. With workers on several nodes, it must "
        "be a path that all of them share.",
    )
    recipe_file: Annotated[str | None, tyro.conf.arg(name="recipe", metavar="FILE|NAME")] = Field(
        default=None,
        description="A YAML file with model and stages; geometry or arrays, for the system's recipe of that "
        "knowledge level; or the name of a recipe that mosim ships, such as geometry/large.",
    )
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = Field(
        default=None, gt=0, description="Wall-clock budget of all stages together; each stage keeps its share."
    )
    weights: Annotated[Path | None, tyro.conf.arg(metavar="CHECKPOINT")] = Field(
        default=None,
        description="Begin with the weights of this checkpoint or training run, of the same model and system, instead "
        "of random ones; for example, to train a simulator further on other data.",
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Resume from the last checkpoint in --out, if there is one."
    )
    device: str = Field(default="auto", description="Device: auto, cpu, cuda, cuda:1, ...")
    threads: int = Field(default=1, ge=1, description="CPU threads for torch; small networks are fastest with 1.")
    workers: int = Field(
        default=1,
        ge=1,
        description="Number of Ray processes that share each batch, for a large model; each has --threads CPUs and, "
        "on CUDA, a GPU. The result of a step does not depend on their number, up to rounding.",
    )
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = Field(
        default=None,
        description="With --workers: the address of a Ray cluster, such as auto or ray://head:10001. If omitted: "
        "RAY_ADDRESS, or this machine alone.",
    )
    compile_steps: Annotated[bool, tyro.conf.arg(name="compile"), tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Compile one-step stages with torch.compile. This takes up to a minute per stage, and does not "
        "speed up models with constraints. If compilation fails, training warns and continues without it.",
    )
    recipe: Annotated[Recipe, tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse_with_recipes(Options, "train", arguments, _defaults, positional="task")
    system = load_system(options.task, allow_imports=True)
    recipe = options.recipe
    if options.minutes is not None:
        recipe = recipe.within(options.minutes)
    if options.address is not None and options.workers == 1:
        raise MosimError("--address needs --workers of 2 or more; one worker trains in this process.")
    device = pick_device(options.device) if options.workers == 1 else options.device
    given = None if options.data is None else Dataset.open(options.data)
    out = Path("runs", label_of(options.task)) if options.out is None else options.out
    first = None if options.weights is None else read_checkpoint(options.weights).id
    named = find_recipe(system.facts.name, options.recipe_file)
    console.print(recipe_line("recipe", named.origin, named.recipe, recipe))
    with locked(out):
        # What the folder holds is looked at before anything is started, and before a dataset is collected.
        check_identity(out, run_identity(recipe, "", first), resume=options.resume, unknown={"dataset"})
        if given is None:
            with quiet(out / LOG_FILE, options.verbose):
                given = default_dataset(system, STANDARD.training, TRAINING_SUFFIX)
        require_fit(given.facts, system.facts, f"the dataset at {given.uri}")
        check_identity(out, run_identity(recipe, given.id, first), resume=options.resume)
        path = _train(options, system, recipe, given, out, device)
    console.print(f"checkpoint: {path}")
    console.print(f"evaluate it: {shlex.join(['mosim', 'evaluate', str(out)])}")


def _train(options: Options, system: System, recipe: Recipe, dataset: Dataset, out: Path, device: str) -> Path:
    """Trains, tracked, and returns the path of the last checkpoint."""
    with tracked_command(options, out, "train", system.source) as tracked:
        path = train_simulator(
            system=system.source,
            facts=system.facts,
            recipe=recipe,
            datasets=[dataset],
            out=out,
            device=device,
            threads=options.threads,
            resume=options.resume,
            compile_steps=options.compile_steps,
            workers=options.workers,
            address=options.address,
            weights=options.weights,
            tracked=tracked,
        )
        tracked.log_artifact(path, "checkpoint")
    return path


def _defaults(task: str | None, flags: Mapping[str, str]) -> Options:
    """Options whose recipe is the one that the arguments name, so that its fields become flags with these defaults."""
    name = "" if task is None else load_system(task, allow_imports=True).facts.name
    return with_recipe(Options, recipe=find_recipe(name, flags.get("--recipe")).recipe)
