"""`mosim study`: an ablation or an accuracy benchmark as one YAML file."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from pydantic import Field
from rich.text import Text

from mosim import ray_cluster
from mosim.cli.notes import note
from mosim.cli.parsing import parse
from mosim.cli.standard_data import collect_wanted, complete_dataset
from mosim.cli.study_watcher import StudyWatcher, study_summary
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.cli.training_phase import pick_device
from mosim.console import console, progress_bar
from mosim.locks import locked
from mosim.run_identity import check_identity
from mosim.studies import (
    DATA_FOLDER,
    RESULTS_FILE,
    BaselineJob,
    Failure,
    Job,
    Measurement,
    Plan,
    PlannedRun,
    Status,
    Study,
    TrainingJob,
    plan_study,
    plot_systems,
    read_study,
    result_table,
    run_jobs,
    write_results,
)
from mosim.tracking import TrackedRun, git_commit
from mosim.training import run_identity
from mosim.trajectories import Collection, Dataset, check_collection

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
        for run in chosen.runs:  # Looked at before anything is started, and before datasets are collected.
            identity = run_identity(run.recipe, "")
            check_identity(out / run.name, identity, resume=options.resume, unknown={"dataset"})
        for name, system in chosen.systems:
            for part, wanted in _parts(study):
                check_collection(system, out / DATA_FOLDER / name / part, wanted)
        for label, origin in {f"{run.system}/{run.variant.name}": run.origin for run in chosen.runs}.items():
            console.print(f"recipe of {label}: {origin}")
        command = shlex.join(["mosim", "study", *arguments])
        table, plots, failures = _track(options, plan, chosen, out, device, command)
    _print(table, failures, out, plots)
    if failures:
        sys.exit(EXIT_SOME_FAILED)


def _track(
    options: Options, plan: Plan, chosen: Plan, out: Path, device: str, command: str
) -> tuple[pd.DataFrame, list[Path], dict[str, Failure]]:
    """Runs what is left of the chosen runs, tracked; returns the results of all, their plots, and what failed."""
    with tracked_command(options, out, "study", plan.study.name) as tracked:
        provenance = {"commit": git_commit() or "", "command": command}
        with ray_cluster.started(num_cpus=options.workers):
            data = _data(plan, {system.name for system in chosen.systems}, out, options.workers)
            baselines, runs = _jobs(plan, data, out, provenance)
            names = {run.name for run in chosen.runs}
            todo = _left([*baselines.values(), *(job for _, job in runs if job.name in names)])
            failures = _run(todo, options.workers, device, tracked)
        table, plots = result_table(runs, baselines, failures), plot_systems(runs, baselines)
        for path in (out / RESULTS_FILE, *filter(None, [options.results])):
            write_results(table, path)
        for path in (out / RESULTS_FILE, *plots):
            tracked.log_artifact(path)
        tracked.describe(note(study_summary(table)))
    return table, plots, failures


def _parts(study: Study) -> tuple[tuple[str, Collection], ...]:
    """The datasets of a system, by the names of their folders."""
    return ("train", study.data.training), ("held_out", study.data.held_out)


def _data(plan: Plan, chosen: set[str], out: Path, workers: int) -> dict[str, tuple[Dataset, Dataset]]:
    """Training and held-out data by system: of those chosen collected where missing, of others what is complete."""
    data = {}
    for name, system in plan.systems:
        folder, wanted = out / DATA_FOLDER / name, _parts(plan.study)
        if name in chosen:
            parts = [
                collect_wanted(system, folder / part, collection, workers, f"collect {name} {part}")
                for part, collection in wanted
            ]
        else:
            parts = [found for part, _ in wanted if (found := complete_dataset(folder / part))]
        if len(parts) == len(wanted):
            data[name] = (parts[0], parts[1])
    return data


def _jobs(
    plan: Plan, data: Mapping[str, tuple[Dataset, Dataset]], out: Path, provenance: dict[str, str]
) -> tuple[dict[str, BaselineJob], list[tuple[PlannedRun, TrainingJob]]]:
    """The jobs of baselines, by system, and of runs, of those systems that have data; in the plan's order."""
    study, baselines = plan.study, {}
    for name, system in plan.systems:
        if name in data:
            measurement = Measurement(
                source=system.source,
                held_out=data[name][1].uri,
                held_out_id=data[name][1].id,
                horizons=study.horizons,
                starts=study.starts,
            )
            baselines[name] = BaselineJob(
                name=f"{name}/baselines", measurement=measurement, out=out / name, provenance=provenance
            )
    runs = [
        TrainingJob(
            name=run.name,
            recipe=run.recipe,
            train=data[run.system][0].uri,
            train_id=data[run.system][0].id,
            measurement=baselines[run.system].measurement,
            out=out / run.name,
            provenance=provenance,
        )
        for run in plan.runs
        if run.system in data
    ]
    named = {run.name: run for run in plan.runs}
    return baselines, [(named[job.name], job) for job in runs]


def _left(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that are not finished; says how many trainings are."""
    left = [job for job in jobs if job.status() is not Status.FINISHED]
    todo, wanted = (sum(isinstance(job, TrainingJob) for job in each) for each in (left, jobs))
    finished = f"; {wanted - todo} of {wanted} are finished already" if todo < wanted else ""
    console.print(f"runs to do: {todo}{finished}")
    return left


def _run(jobs: Sequence[Job], workers: int, device: str, tracked: TrackedRun) -> dict[str, Failure]:
    with progress_bar() as progress:
        return run_jobs(jobs, workers, device, StudyWatcher(progress, tracked, len(jobs)))


def _print(table: pd.DataFrame, failures: dict[str, Failure], out: Path, plots: Sequence[Path]) -> None:
    console.print(study_summary(table))
    for name, failure in failures.items():
        console.print(Text.assemble((failure.kind, "red"), f" {name}: {failure.reason}"))
    console.print(f"results       {out / RESULTS_FILE}")
    for plot in plots:
        console.print(f"plot          {plot}")
