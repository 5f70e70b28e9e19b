"""`mosim zero-shot`: a policy trained in a simulator alone, evaluated in the true task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field, SerializeAsAny
from rich.table import Table

from mosim.agents import (
    POLICY_FOLDER,
    RETURNS_FILE,
    PolicyJob,
    PolicyRecipe,
    find_policy_recipe,
    load_policy_recipe,
    random_return,
)
from mosim.cli.parsing import given_flags, parse_with_recipes, with_recipe
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.core.configuration import with_values
from mosim.core.console import console
from mosim.core.errors import MosimError
from mosim.core.locks import locked
from mosim.data import Dataset
from mosim.envs import TRUE_DYNAMICS, find_dataset
from mosim.experiments.pipeline import (
    TRUE_TRAINED,
    ZERO_SHOT,
    draw_returns,
    film_final_policy,
    model_tags,
    note,
    pick_device,
    recipe_line,
    return_summary,
    train_policies,
    warn_of_hidden_physics,
)
from mosim.robots import require_fit
from mosim.tasks import Task, load_task
from mosim.tracking import TrackedRun
from mosim.training import Checkpoint, read_checkpoint

VIDEO = "policy.mp4"


class Options(TrackedOptions):
    """Train a policy in a simulator alone, and evaluate it in the true task at fixed intervals.

    --algorithm is one of RLlib's, or shac, which follows gradients of the reward through the simulator.

    Every field of the policy's recipe is a flag below; --algorithm NAME --help shows the flags of another algorithm.
    Writes returns.csv, returns.png, the policy and, if OpenGL is available, policy.mp4, the first seconds of an episode
    in the true task.

      mosim zero-shot runs/reacher --task reacher-easy --out runs/reacher/zero-shot
      mosim zero-shot runs/reacher --task reacher-easy --out runs/reacher/sac --algorithm sac
      mosim zero-shot runs/cheetah --task cheetah-run --out runs/cheetah/shac --algorithm shac
    """

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")] = Field(
        description="A checkpoint, or the folder of a training run."
    )
    task: str = Field(description="A task of the system that the simulator has learned, as domain-task.")
    out: Path = Field(description="Folder for returns, checkpoints and the policy.")
    recipe_file: Annotated[Path | None, tyro.conf.arg(name="recipe", metavar="FILE")] = Field(
        default=None, description="A YAML file. If omitted: the algorithm's own recipe for the task, or a general one."
    )
    allow_imports: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Import the module that the recipe file names. This runs the module's code.",
    )
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT")] = Field(
        default=None, ge=0, description="Number of Ray actors that sample; the same as --num-env-runners."
    )
    data: Annotated[str | None, tyro.conf.arg(metavar="PATH|URI")] = Field(
        default=None,
        description="The dataset for --start data or mixed. If omitted: the one that the simulator was trained on, if "
        "it is beside the run or in data/.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="cpu",
        description="Device of simulator and policy; auto is cuda if available. All trainings share one GPU.",
    )
    compare: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Also train the same recipe in the true task, into OUT/true-trained."
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Resume from the last checkpoint in --out, if there is one."
    )
    video: bool = Field(default=True, description="Record the policy in the true task as a video, OUT/policy.mp4.")
    recipe: Annotated[SerializeAsAny[PolicyRecipe], tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse_with_recipes(Options, "zero-shot", arguments, _defaults)
    if options.workers is not None:
        if "--num-env-runners" in given_flags(arguments):
            raise MosimError("--workers and --num-env-runners are the same setting; give one of them.")
        if "num_env_runners" not in type(options.recipe).model_fields:
            name = options.recipe.algorithm.lower()
            raise MosimError(f"--workers is for RLlib's algorithms; {name} samples in its own process.")
        recipe = with_values(options.recipe, {"num_env_runners": options.workers}, "--workers")
        options = options.model_copy(update={"recipe": recipe})
    named = find_policy_recipe(
        options.task, options.recipe_file, options.recipe.algorithm, allow_imports=options.allow_imports
    )
    console.print(recipe_line("recipe", named.origin, named.recipe, options.recipe))
    device = pick_device(options.device)
    task = load_task(options.task, allow_imports=True)
    simulator = read_checkpoint(options.checkpoint)
    checkpoint = simulator.path.resolve()
    places = {ZERO_SHOT: (str(checkpoint), options.out)}
    if options.compare:
        places[TRUE_TRAINED] = (TRUE_DYNAMICS, options.out / TRUE_TRAINED)
    data = _starts(options, checkpoint, task)
    jobs = {
        name: PolicyJob(
            recipe=options.recipe,
            task_name=task.source,
            dynamics_source=source,
            out=out,
            resume=options.resume,
            data=data,
            device=device,
        )
        for name, (source, out) in places.items()
    }
    with locked(options.out):
        for job in jobs.values():  # What does not fit is said before anything starts.
            job.check()
        filmed, summary = _train(options, task, simulator, jobs)
    console.print(summary)
    console.print(f"policy   {options.out / POLICY_FOLDER}")
    console.print(f"returns  {options.out / RETURNS_FILE}, {options.out / 'returns.png'}")
    if filmed:
        console.print(f"video    {options.out / VIDEO}")


def _train(options: Options, task: Task, simulator: Checkpoint, jobs: Mapping[str, PolicyJob]) -> tuple[bool, Table]:
    """Trains, tracked; returns whether there is a film, and the table of returns."""
    with tracked_command(options, options.out, "zero-shot", task.name) as tracked:
        tracked.set_tags({"simulator": simulator.id, "system": task.facts.name, **model_tags(simulator.model)})
        warn_of_hidden_physics(task)
        results = train_policies(jobs, {name: _run_of(name, tracked, task) for name in jobs})
        random = random_return(task, action_repeat=options.recipe.action_repeat)
        draw_returns(results, random.mean, f"{task.name}: returns", options.out / "returns.png")
        tracked.log_artifact(options.out / "returns.png")
        summary = return_summary({name: result.returns for name, result in results.items()}, random.mean)
        tracked.describe(note(summary))
        filmed = options.video and film_final_policy(results[ZERO_SHOT], task, options.out / VIDEO, tracked)
    return filmed, summary


def _starts(options: Options, checkpoint: Path, task: Task) -> str | None:
    """Where the data lie whose states episodes start in."""
    if options.recipe.start == "initial":
        return None
    dataset = find_dataset(checkpoint) if options.data is None else Dataset.open(options.data)
    require_fit(dataset.facts, task.facts, f"the dataset at {dataset.uri}", task.name)
    return dataset.uri


def _run_of(name: str, tracked: TrackedRun, task: Task) -> TrackedRun:
    """The run of a training: of the zero-shot one the command's own."""
    return tracked if name == ZERO_SHOT else tracked.child(name, tags={"phase": name, "task": task.name})


def _defaults(positional: str | None, flags: Mapping[str, str]) -> Options:
    """Options whose recipe is the one that the arguments name, so that its fields become flags with these defaults."""
    del positional  # The checkpoint, which decides no recipe.
    file = flags.get("--recipe")
    recipe = load_policy_recipe(
        flags.get("--task", ""),
        None if file is None else Path(file),
        flags.get("--algorithm"),
        allow_imports="--allow-imports" in flags,
    )
    return with_recipe(Options, recipe=recipe)
