"""`mosim study`: an ablation or an accuracy benchmark as one YAML file."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.text import Text

from mosim.cli.parsing import parse
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.core.console import console
from mosim.core.locks import locked
from mosim.experiments.pipeline import pick_device
from mosim.experiments.study import (
    RESULTS_FILE,
    Plan,
    StudyResults,
    check_study,
    plan_study,
    read_study,
    run_study,
    study_summary,
)
from mosim.tracking import git_commit

EXIT_SOME_FAILED = 1


class Options(TrackedOptions):
    """Train and evaluate variants of recipes on several systems with several seeds, as defined in a YAML file.

    The file lists systems, seeds, a budget and variants. A variant is a recipe, or changes to one by dotted names. The
    whole file is checked before the first run starts. Standard data are collected for every system. Every run is
    trained in its own process on one core and evaluated from the same held-out starts, and results.csv has all results.
    A run that fails is listed in the table and does not stop the others; the command then exits with code 1. After
    Ctrl-C or a crash, the same command with --resume continues.

      mosim study studies/ablation.yaml
      mosim study benchmarks/accuracy.yaml --results accuracy.csv --only reacher --resume
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")] = Field(
        description="The study: a YAML file."
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None, description="Output folder. If omitted: runs/NAME, where NAME is the study's name."
    )
    workers: int = Field(default=max((os.cpu_count() or 1) // 2, 1), ge=1, description="Runs at a time, one core each.")
    only: Annotated[str | None, tyro.conf.arg(metavar="PARTS")] = Field(
        default=None,
        description="Run only the runs whose name contains this text, such as reacher-easy/staged/seed-0; or all of "
        "several texts with spaces between them, such as 'cheetah-run/ seed-0'.",
    )
    results: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = Field(
        default=None, description="Also write results.csv to this path."
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Resume the study in --out; finished runs are not repeated."
    )
    device: str = Field(default="auto", description="Device: auto, cpu or cuda; runs at the same time share a GPU.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "study", arguments)
    study = read_study(options.file)
    plan = plan_study(study, options.file)
    chosen = plan if options.only is None else plan.only(*options.only.split())
    device = pick_device(options.device)
    out = (Path("runs", study.name) if options.out is None else options.out).absolute()
    with locked(out):
        check_study(chosen, out, options.resume)
        _print_recipes(chosen)
        provenance = {"commit": git_commit() or "", "command": shlex.join(["mosim", "study", *arguments])}
        with tracked_command(options, out, "study", study.name) as tracked:
            results = run_study(
                plan,
                chosen,
                out,
                workers=options.workers,
                device=device,
                tracked=tracked,
                provenance=provenance,
                results=options.results,
            )
    _print(results, out)
    if results.failures:
        sys.exit(EXIT_SOME_FAILED)


def _print_recipes(plan: Plan) -> None:
    """Says which recipe each run has, in one line for all the variants of a system that have the same one."""
    named: dict[tuple[str, str], list[str]] = {}
    for run in plan.runs:
        variants = named.setdefault((run.system, run.origin), [])
        if run.variant.name not in variants:
            variants.append(run.variant.name)
    for (system, origin), variants in named.items():
        more = f" and {len(variants) - 1} more" if len(variants) > 1 else ""
        console.print(f"recipe of {system}/{variants[0]}{more}: {origin}")


def _print(results: StudyResults, out: Path) -> None:
    console.print(study_summary(results.table))
    for name, failure in results.failures.items():
        console.print(Text.assemble((failure.kind, "red"), f" {name}: {failure.reason}"))
    console.print(f"results       {out / RESULTS_FILE}")
    for plot in results.plots:
        console.print(f"plot          {plot}")
