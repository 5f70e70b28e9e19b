"""What is seen of a study: a bar a run at work and one for the whole, MLflow's child runs, and the table at the end."""

import time

import numpy as np
import pandas as pd
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from mosim.core.console import console, logger
from mosim.core.files import read_json
from mosim.evaluation import HORIZON_CURVE, HORIZON_DIMENSIONS, HORIZON_TABLE
from mosim.experiments.pipeline import model_tags, track_curve, track_dimensions, track_horizons, track_report
from mosim.experiments.study.jobs import RESULT_FILE, Job, JobEvent, TrainingJob
from mosim.experiments.study.runner import Failure
from mosim.tracking import TrackedRun
from mosim_analysis import metric_names, names

_BAR_GRAIN = 1000
"""Parts of a run's bar."""

_NAME_WIDTH = 18
"""Characters that a narrow terminal leaves to a variant's name."""


class StudyWatcher:
    """Shows jobs as they go, and tracks them as children of the study's run; `Watcher` says when it is called."""

    def __init__(self, progress: Progress, tracked: TrackedRun, jobs: int) -> None:
        """`jobs` says how many there will be."""
        self._progress, self._tracked = progress, tracked
        self._total = progress.add_task("study", total=jobs * _BAR_GRAIN, status="")
        self._jobs, self._ended, self._failed = jobs, 0, 0
        self._bars: dict[str, TaskID] = {}
        self._runs: dict[str, TrackedRun] = {}
        self._shares: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def started(self, job: Job) -> None:
        """Shows the job's bar."""
        self._since[job.name] = time.perf_counter()
        self._bars[job.name] = self._progress.add_task(job.name, total=_BAR_GRAIN, status="starting")
        run = self._runs[job.name] = self._tracked.child(job.name.replace("/", " "), tags={"phase": "study run"})
        task, variant, *_ = job.name.split("/")
        run.set_tags({"dataset.heldout.id": job.measurement.held_out_id, "task": task, "variant": variant})
        if isinstance(job, TrainingJob):
            run.log_parameters({**job.recipe.model_dump(mode="json"), "system": job.measurement.source})
            run.set_tags({"dataset.id": job.train_id, **model_tags(job.recipe.model)})

    def reported(self, job: Job, event: JobEvent) -> None:
        """Moves the bars, and tracks the training's report."""
        self._progress.update(self._bars[job.name], completed=round(_BAR_GRAIN * event.share), status=event.status)
        self._shares[job.name] = event.share
        self._progress.update(self._total, completed=_BAR_GRAIN * (self._ended + sum(self._shares.values())))
        if event.report is not None:
            track_report(event.report, self._runs[job.name])
            for sentence in filter(None, (event.report.found, event.report.note)):
                console.print(f"{job.name}: {sentence}")

    def ended(self, job: Job, failure: Failure | None) -> None:
        """Takes the bar away, says how it ended, and tracks the horizon curve by physics step."""
        self._progress.remove_task(self._bars.pop(job.name))
        self._shares.pop(job.name, None)
        self._ended += 1
        self._failed += failure is not None
        failed = f", {self._failed} failed" if self._failed else ""
        status = f"{self._ended} of {self._jobs} jobs done{failed}"
        self._progress.update(self._total, completed=self._ended * _BAR_GRAIN, status=status)
        seconds = time.perf_counter() - self._since[job.name]
        run = self._runs.pop(job.name)
        if failure is None:
            console.print(f"finished {job.name} in {seconds:.0f} s ({status})")
            track_curve(pd.read_csv(job.out / HORIZON_CURVE), run)
            track_dimensions(pd.read_csv(job.out / HORIZON_DIMENSIONS), run)
            if isinstance(job, TrainingJob):
                speed = read_json(job.out / RESULT_FILE)["rollout_steps_per_second"]
                run.log_metrics({metric_names.ROLLOUT_SPEED: speed}, step=0)
            track_horizons(pd.read_csv(job.out / HORIZON_TABLE), run)
            run.finish()
        else:
            console.print(Text.assemble((failure.kind, "red"), f" {job.name} after {seconds:.0f} s ({status})"))
            logger.error("%s %s: %s\n%s", failure.kind, job.name, failure.reason, failure.trace)
            run.finish("FAILED", f"{failure.kind}: {failure.reason}")


def study_summary(table: pd.DataFrame) -> Table:
    """The rows of a study's `results.csv` as a table: a row a system and variant, a column a horizon.

    A cell is the median over seeds, and with several seeds the lowest and the highest; one that diverged is infinite.
    """
    title = "horizon error: mean squared error over steps 1..H, raw [q, v]; median over seeds (lowest..highest)"
    shown = Table(title=title, title_justify="left")
    horizons = sorted(table["horizon"].unique())
    shown.add_column("system and variant", min_width=_NAME_WIDTH)
    for column in ("runs", *(f"H = {horizon}" for horizon in horizons)):
        shown.add_column(column, justify="right")
    variants = table["variant"].where(table["variant"].notna(), table["model"])
    told = zip(variants, table["knowledge"].fillna(""), strict=True)
    labelled = table.assign(label=[names.with_knowledge(variant, knowledge) for variant, knowledge in told])
    for system, of_system in labelled.groupby("system", sort=False):
        shown.add_row(Text(str(system), "bold"))
        # Baselines stand first in the file, and last here.
        ordered = of_system.sort_values("seed", key=lambda seeds: seeds.isna(), kind="stable")
        for label, rows in ordered.groupby("label", sort=False):
            cells = [_cell(rows.loc[rows["horizon"] == horizon, "mse"]) for horizon in horizons]
            shown.add_row(f"  {label}", _runs(rows), *cells)
        shown.add_section()
    return shown


def _cell(mse: pd.Series) -> str:
    errors = mse.dropna().to_numpy(float)
    if not len(errors):
        return "-"
    median = _figure(float(np.median(errors)), 3)
    if len(errors) == 1 or not np.isfinite(errors).any():
        return median
    return f"{median} ({_figure(errors.min(), 2)}..{_figure(errors.max(), 2)})"


def _figure(error: float, digits: int) -> str:
    return f"{error:.{digits}g}" if np.isfinite(error) else "diverged"


def _runs(rows: pd.DataFrame) -> str:
    """How many runs the figures are of; of baselines, which have no seed, nothing."""
    seeds = set(rows["seed"].dropna())
    failed = set(rows.loc[rows["failure"].notna(), "seed"].dropna())
    return "" if not seeds else f"{len(seeds)}, {len(failed)} failed" if failed else str(len(seeds))
