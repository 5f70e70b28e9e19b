"""`mosim sweep`: Ray Tune over the staged training, or over a policy's, as one YAML file says."""

import errno
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field
from rich.text import Text

from mosim.cli.parsing import parse
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.core.console import console
from mosim.core.locks import locked
from mosim.data import check_collection
from mosim.experiments.sweep import NO_SPACE, PolicyPlan, SimulatorPlan, check_resumption, plan_sweep, read_sweep
from mosim.tasks import load_system
from mosim.tracking import default_tracking_uri, ui_command

if TYPE_CHECKING:
    from mosim.experiments.tune import SweepResults, TrialResult

EXIT_ALL_FAILED = 1


class Options(TrackedOptions):
    """Search hyperparameters with Ray Tune, as defined in a YAML file: each trial trains a variant of one recipe.

    The file names a task, the data, a base recipe, a search space, a scheduler and a budget; see tune_configs/ for
    examples with comments. The whole file is checked before the first trial starts. Trials report at fixed intervals of
    training, and continue from their last report if their process or node dies. The best checkpoint is copied to
    OUT/best and its recipe to OUT/best.yaml, and trials.csv has one row per trial. After Ctrl-C or a crash, the same
    command with --resume continues, and does not repeat trials that have ended.

      mosim sweep tune_configs/reacher-quick.yaml
      mosim sweep tune_configs/humanoid-staged.yaml --address auto --storage s3://bucket/sweeps
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")] = Field(
        description="The sweep: a YAML file."
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None,
        description="Folder for results on this machine. If omitted: runs/NAME, where NAME is the sweep's name.",
    )
    storage: Annotated[str | None, tyro.conf.arg(metavar="PATH|URI")] = Field(
        default=None,
        description="Where trials store checkpoints, in a folder named after the sweep: on a cluster, a path that "
        "all nodes share, or a bucket such as s3://bucket/sweeps. The sweep's state is pickled, so "
        "nobody else may be able to write there. If omitted: --out.",
    )
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = Field(
        default=None,
        description="Address of a Ray cluster: auto on one of its nodes, or ray://head:10001 from another machine, "
        "as long as this command runs; docs/scaling.md describes sweeps that outlast it. If omitted: "
        "RAY_ADDRESS, or a Ray instance on this machine.",
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Resume the sweep in --storage; trials that have ended are not repeated."
    )
    allow_imports: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Import the module that the sweep or its recipe names. This runs the module's code.",
    )
    device: str = Field(
        default="auto", description="Device: auto, cpu or cuda; auto is cuda if resources.gpu is above 0."
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "sweep", arguments)
    plan = plan_sweep(read_sweep(options.file), options.file, allow_imports=options.allow_imports)
    plan.check()
    out = (Path("runs", plan.sweep.name) if options.out is None else options.out).absolute()
    storage = str(out) if options.storage is None else f"{_absolute(options.storage)}/{plan.sweep.name}"
    with locked(out):
        changes = check_resumption(plan, storage, resume=options.resume)
        if isinstance(plan, SimulatorPlan) and plan.dataset is None:
            check_collection(load_system(plan.source, allow_imports=True), f"{storage}/data", plan.sweep.data.training)
        console.print(f"base recipe of the trials: {plan.origin}")
        for change in changes:
            console.print(f"resumed with a changed setting: {change}")
        results = _track(options, plan, storage, out)
    if all(result.failure for result in results):
        sys.exit(EXIT_ALL_FAILED)


def _track(options: Options, plan: SimulatorPlan | PolicyPlan, storage: str, out: Path) -> list["TrialResult"]:
    """Runs the trials, tracked, and says what came of them."""
    # Imported here, since a mistake in the file should not wait for Ray Tune.
    from mosim.experiments.tune import full_disks_told, run_whole_sweep

    with full_disks_told(storage, out), tracked_command(options, out, "sweep", plan.sweep.name) as tracked:
        tracked.log_artifact(options.file)
        results = run_whole_sweep(
            plan,
            storage,
            out,
            address=options.address,
            resume=options.resume,
            device=options.device,
            tracked=tracked,
        )
        _print(options, plan, results)
        if any(result.status == "unfinished" for result in results.trials):
            raise KeyboardInterrupt
        if any(NO_SPACE in result.failure for result in results.trials):
            raise OSError(errno.ENOSPC, NO_SPACE)
    return results.trials


def _absolute(location: str) -> str:
    return location.rstrip("/") if "://" in location else str(Path(location).absolute())


def _print(options: Options, plan: SimulatorPlan | PolicyPlan, results: "SweepResults") -> None:
    from mosim.experiments.tune import full_training

    conclusion = results.conclusion
    console.print(conclusion.table)
    for result in results.trials:
        if result.failure:
            console.print(Text.assemble(("failed", "red"), f" trial {result.trial}: {result.failure}"))
    command = shlex.join(["mosim", "sweep", *sys.argv[2:]])
    lines = [("trials", conclusion.trials), ("best", conclusion.best), ("best recipe", conclusion.recipe)]
    if any(result.resumable for result in results.trials):
        lines.append(("continue", command if options.resume else f"{command} --resume"))
    lines.append(("compare", ui_command(options.tracking_uri or default_tracking_uri())))
    if conclusion.recipe:
        lines.append(("full training", full_training(plan, conclusion.recipe, results.dataset)))
    for label, said in lines:
        if said is not None:
            console.print(f"{label:<14}{said}")
