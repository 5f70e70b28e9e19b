"""A study from its plan to its results: data, runs side by side, and one table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mosim.core.console import console, progress_bar
from mosim.core.run_identity import check_identity
from mosim.data import Collection, Dataset, check_collection
from mosim.experiments.pipeline import collect_wanted, complete_dataset, note
from mosim.experiments.study.config import DATA_FOLDER, Study
from mosim.experiments.study.jobs import BaselineJob, Job, Measurement, Status, TrainingJob
from mosim.experiments.study.plan import Plan, PlannedRun
from mosim.experiments.study.results import RESULTS_FILE, plot_systems, result_table, write_results
from mosim.experiments.study.runner import Failure, run_jobs
from mosim.experiments.study.watcher import StudyWatcher, study_summary
from mosim.jobs import ray_cluster
from mosim.tracking import TrackedRun
from mosim.training import run_identity


class StudyResults(NamedTuple):
    """What a study has come to: `results.csv` as a table, the paths of plots, and the runs that failed, by name."""

    table: pd.DataFrame
    plots: list[Path]
    failures: dict[str, Failure]


def check_study(plan: Plan, out: Path, resume: bool) -> None:
    """Looks at a study's folder before anything is started, and before datasets are collected.

    Raises:
      MosimError: it holds a run already, and `resume` is not given.
      MismatchError: it holds other runs, or other data.
    """
    for run in plan.runs:
        check_identity(out / run.name, run_identity(run.recipe, ""), resume=resume, unknown={"dataset"})
    for name, system in plan.systems:
        for part, wanted in _parts(plan.study):
            check_collection(system, out / DATA_FOLDER / name / part, wanted)


def run_study(
    plan: Plan,
    chosen: Plan,
    out: Path,
    *,
    workers: int,
    device: str,
    tracked: TrackedRun,
    provenance: dict[str, str],
    results: Path | None = None,
) -> StudyResults:
    """Runs what is left of the chosen runs, and writes down what has come of all that are finished.

    Args:
      plan: all of the study.
      chosen: the part of it that is run.
      out: folder for everything.
      workers: runs at a time, of one core each.
      device: a torch device.
      tracked: whose children the runs are.
      provenance: further columns of the results, such as the commit.
      results: where else to write the CSV.
    """
    with ray_cluster.started(num_cpus=workers):
        data = _data(plan, {system.name for system in chosen.systems}, out, workers)
        baselines, runs = _jobs(plan, data, out, provenance)
        names = {run.name for run in chosen.runs}
        todo = _left([*baselines.values(), *(job for _, job in runs if job.name in names)])
        failures = _run(todo, workers, device, tracked)
    table, plots = result_table(runs, baselines, failures), plot_systems(runs, baselines)
    for path in (out / RESULTS_FILE, *filter(None, [results])):
        write_results(table, path)
    for path in (out / RESULTS_FILE, *plots):
        tracked.log_artifact(path)
    tracked.describe(note(study_summary(table)))
    return StudyResults(table, plots, failures)


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
    finished = f"; {wanted - todo} of {wanted} are already finished" if todo < wanted else ""
    console.print(f"runs to do: {todo}{finished}")
    return left


def _run(jobs: Sequence[Job], workers: int, device: str, tracked: TrackedRun) -> dict[str, Failure]:
    with progress_bar() as progress:
        return run_jobs(jobs, workers, device, StudyWatcher(progress, tracked, len(jobs)))
