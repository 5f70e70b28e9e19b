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
    """Search the settings of a training with Ray Tune: trials of one recipe's variants, as one YAML file says.

    The file names a task, the data, a base recipe, what is searched, a scheduler and a budget; see tune_configs/ for
    examples with comments. All of it is checked before the first trial starts. Trials report at fixed intervals of
    training, and go on from their last report if their process or node dies. The best checkpoint is copied to OUT/best,
    its recipe to OUT/best.yaml, and trials.csv holds a row a trial. After Ctrl-C or a crash, the same command with
    --resume goes on, and repeats no trial that has ended.

      mosim sweep tune_configs/reacher-quick.yaml
      mosim sweep tune_configs/humanoid-staged.yaml --address auto --storage s3://bucket/sweeps
    """

    file: tyro.conf.Positional[Path] = Field(description="The sweep: a YAML file.")
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None, description="Folder for results on this machine; runs/NAME by default, NAME being the sweep's."
    )
    storage: Annotated[str | None, tyro.conf.arg(metavar="PATH|URI")] = Field(
        default=None,
        description="Where trials keep checkpoints, in a folder of the sweep's name: on a cluster a path that all "
        "nodes share, or a bucket such as s3://bucket/sweeps. Its state is pickled, so let nobody else write there. "
        "By default --out.",
    )
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = Field(
        default=None,
        description="Of a Ray cluster: auto on one of its nodes, or ray://head:10001 from elsewhere, for as long as "
        "this command runs; see docs/scaling.md for sweeps that outlast it. By default what RAY_ADDRESS says, or else "
        "a Ray of this machine's own.",
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Go on with the sweep in --storage; trials that have ended are not repeated."
    )
    allow_imports: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Import the module that the sweep or its recipe names; its code runs.",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda; auto is cuda where resources.gpu is above 0.")


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
        console.print(f"recipe that trials change: {plan.origin}")
        for change in changes:
            console.print(f"resumed with another setting: {change}")
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
    lines = [("trials", conclusion.trials), ("best", conclusion.best), ("its recipe", conclusion.recipe)]
    if any(result.resumable for result in results.trials):
        lines.append(("go on", command if options.resume else f"{command} --resume"))
    lines.append(("compare", ui_command(options.tracking_uri or default_tracking_uri())))
    if conclusion.recipe:
        lines.append(("in full", full_training(plan, conclusion.recipe, results.dataset)))
    for label, said in lines:
        if said is not None:
            console.print(f"{label:<14}{said}")
