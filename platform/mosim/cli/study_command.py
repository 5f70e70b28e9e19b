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
    """Train and measure variants of recipes on several systems, under several seeds, as one YAML file says.

    The file names systems, seeds, a budget and variants; a variant is a recipe, or changes to one by dotted names. All
    of it is checked before the first run starts. Standard data are collected for every system, every run is trained in
    a process of its own on one core and measured on the same held-out starts, and results.csv holds all figures. A run
    that fails is told in the table and does not stop the others; the command then exits with 1. After Ctrl-C or a
    crash, the same command with --resume goes on.

      mosim study studies/ablation.yaml
      mosim study benchmarks/accuracy.yaml --results accuracy.csv --only reacher --resume
    """

    file: tyro.conf.Positional[Path] = Field(description="The study: a YAML file.")
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None, description="Folder for everything; runs/NAME by default, NAME being the study's."
    )
    workers: int = Field(
        default=max((os.cpu_count() or 1) // 2, 1), ge=1, description="Runs at a time, of one core each."
    )
    only: Annotated[str | None, tyro.conf.arg(metavar="PART")] = Field(
        default=None, description="Only runs whose name, such as reacher-easy/staged/seed-0, has this in it."
    )
    results: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = Field(
        default=None, description="Where else to write results.csv."
    )
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Go on with the study in --out; finished runs are not repeated."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda; a GPU is shared by the runs at a time.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "study", arguments)
    study = read_study(options.file)
    plan = plan_study(study, options.file)
    chosen = plan if options.only is None else plan.only(options.only)
    device = pick_device(options.device)
    out = (Path("runs", study.name) if options.out is None else options.out).absolute()
    with locked(out):
        check_study(chosen, out, options.resume)
        for label, origin in {f"{run.system}/{run.variant.name}": run.origin for run in chosen.runs}.items():
            console.print(f"recipe of {label}: {origin}")
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


def _print(results: StudyResults, out: Path) -> None:
    console.print(study_summary(results.table))
    for name, failure in results.failures.items():
        console.print(Text.assemble((failure.kind, "red"), f" {name}: {failure.reason}"))
    console.print(f"results       {out / RESULTS_FILE}")
    for plot in results.plots:
        console.print(f"plot          {plot}")
