"""What a study has come to, as one table in long form and a plot a system."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mosim.core.files import atomic_path, read_json
from mosim.evaluation import HORIZON_CURVE, HORIZON_PLOT, MODEL_NAME, PERSISTENCE, plot_horizon
from mosim.experiments.study.jobs import BASELINES_FILE, RESULT_FILE, BaselineJob, Status, TrainingJob
from mosim.experiments.study.plan import PlannedRun
from mosim.experiments.study.runner import Failure

RESULTS_FILE = "results.csv"

COLUMNS = (
    "system", "variant", "seed", "model", "knowledge", "episodes", "horizon",
    "mse", "mse_at", "mse_median", "largest_start_mse", "worst_over_persistence", "diverged", "starts",
    "gradient_steps", "samples_seen", "train_seconds", "parameters", "rollout_steps_per_second", "failure",
    "hardware", "torch", "commit", "command",
)  # fmt: skip
"""Of `results.csv`. `episodes` are those trained on. The error columns are those of `mosim.evaluation.horizon_table`,
the cost those of the training."""

_OF_RUN = (
    "gradient_steps",
    "samples_seen",
    "train_seconds",
    "parameters",
    "rollout_steps_per_second",
    "hardware",
    "torch",
    "commit",
    "command",
)

Runs = Sequence[tuple[PlannedRun, TrainingJob]]


def result_table(runs: Runs, baselines: Mapping[str, BaselineJob], failures: Mapping[str, Failure]) -> pd.DataFrame:
    """Every figure that there is: a row a run and horizon, and a row a system, baseline and horizon.

    `worst_over_persistence` is `largest_start_mse` over persistence's `mse` at the same horizon; a simulator is bounded
    where that is 10 or less and `diverged` is 0. A failed run has rows too, with its reason in `failure`, and an
    infinite error where it diverged. A run that is neither finished nor failed has none.

    Args:
      runs: planned, with their jobs.
      baselines: jobs by system.
      failures: of `run_jobs`.
    """
    rows: list[dict[str, Any]] = []
    persistence: dict[tuple[str, int], float] = {}
    for system, job in baselines.items():
        if job.status() is not Status.FINISHED:
            continue
        content = read_json(job.out / BASELINES_FILE)
        of_models = [row for model in content["horizons"].values() for row in model]
        persistence |= {(system, row["horizon"]): row["mse"] for row in of_models if row["model"] == PERSISTENCE}
        rows += [{"system": system, **row, **_of_run(content)} for row in of_models]
    for run, job in runs:
        names = {"system": run.system, "variant": run.variant.name, "seed": run.seed, "episodes": run.episodes}
        names["knowledge"] = run.recipe.model.knowledge
        if failure := failures.get(job.name):
            mse = np.inf if failure.kind == "diverged" else np.nan
            said = {"model": MODEL_NAME, "mse": mse, "failure": f"{failure.kind}: {failure.reason}", **job.provenance}
            rows += [{**names, "horizon": horizon, **said} for horizon in job.measurement.horizons]
        elif job.status() is Status.FINISHED:
            content = read_json(job.out / RESULT_FILE)
            rows += [{**names, **row, **_of_run(content)} for row in content["horizons"][MODEL_NAME]]
    for row in rows:
        floor = persistence.get((row["system"], row["horizon"]))
        if floor and "largest_start_mse" in row:
            row["worst_over_persistence"] = row["largest_start_mse"] / floor
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = ["seed", "episodes", "diverged", "starts", "gradient_steps", "samples_seen", "parameters"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def write_results(table: pd.DataFrame, path: Path) -> None:
    """Writes a table of `result_table` as CSV, whole or not at all."""
    with atomic_path(path) as aside:
        table.to_csv(aside, index=False, float_format="%.6g")


def plot_systems(runs: Runs, baselines: Mapping[str, BaselineJob]) -> list[Path]:
    """Draws each system's horizon curves, into the system's folder: the median over the seeds, within their extremes.

    Returns:
      The plots' paths; none of a system of which nothing is finished.
    """
    paths = []
    for system, baseline in baselines.items():
        curves: dict[str, list[pd.DataFrame]] = {}
        knowledge: dict[str, str] = {}
        for run, job in runs:
            if run.system == system and job.status() is Status.FINISHED:
                curves.setdefault(run.variant.name, []).append(pd.read_csv(job.out / HORIZON_CURVE))
                knowledge[run.variant.name] = run.recipe.model.knowledge
        if not curves or baseline.status() is not Status.FINISHED:
            continue
        alone = len({run.variant.name for run, _ in runs}) == 1
        drawn = [
            _over_seeds(MODEL_NAME if alone else name, each).assign(knowledge=knowledge[name])
            for name, each in curves.items()
        ]
        curve = pd.concat([*drawn, pd.read_csv(baseline.out / HORIZON_CURVE)], ignore_index=True)
        points = curve[curve["step"].isin(baseline.measurement.horizons)]
        paths.append(baseline.out / HORIZON_PLOT)
        plot_horizon(curve, points.assign(system=system, horizon=points["step"]), paths[-1])
    return paths


def _over_seeds(model: str, curves: list[pd.DataFrame]) -> pd.DataFrame:
    by_step = pd.concat(curves).groupby("step")["mse"]
    over = pd.DataFrame({"mse": by_step.median(), "lowest": by_step.min(), "highest": by_step.max()})
    return over.reset_index().assign(model=model)


def _of_run(content: dict[str, Any]) -> dict[str, Any]:
    return {column: content.get(column) for column in _OF_RUN}
