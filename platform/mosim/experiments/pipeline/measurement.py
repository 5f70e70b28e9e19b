"""Measuring with a progress bar, its curves tracked; shared by `mosim evaluate` and `mosim run`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from mosim.core.console import progress_bar, warn
from mosim.core.threads import torch_threads
from mosim.data import Dataset, check_trajectories
from mosim.evaluation import (
    COVERED,
    HORIZON_DIMENSIONS,
    MODEL_NAME,
    Calibration,
    Evaluation,
    evaluate,
    knowledge_by_model,
    rollout_speed,
    share_starts,
)
from mosim.experiments.pipeline.notes import note
from mosim.experiments.pipeline.training import model_tags
from mosim.robots import System
from mosim.tracking import TrackedRun
from mosim.training import load_simulator, read_checkpoint
from mosim_analysis import metric_names, names

_MODELS = 3
"""The simulator, persistence and the chaos floor."""


def measure_simulator(
    *,
    checkpoint: Path,
    system: System,
    dataset: Dataset,
    out: Path,
    horizons: Sequence[int],
    starts: int,
    seed: int,
    device: str,
    threads: int,
    tracked: TrackedRun,
) -> Evaluation:
    """Measures a checkpoint on a held-out dataset, writes tables and plot, and tracks the curves by physics step."""
    model = load_simulator(checkpoint, device)
    trajectories = dataset.load()
    if (found := check_trajectories(system, trajectories)) and (sentence := found.sentence(system.facts.name)):
        warn(f"{dataset.uri}: {sentence}")
    with torch_threads(threads), progress_bar() as progress:
        groups = share_starts(horizons, int(trajectories.lengths.max()))
        total = _MODELS * sum(min(starts, len(trajectories.windows(group[-1]))) for group in groups)
        bar = progress.add_task("evaluate", total=total, status="")
        result = evaluate(
            model,
            system,
            trajectories,
            out,
            dataset=dataset.id,
            horizons=horizons,
            starts=starts,
            seed=seed,
            device=device,
            threads=threads,
            on_progress=lambda name, count: progress.update(bar, advance=count, status=name),
        )
        progress.update(bar, status="")
    trained = read_checkpoint(checkpoint)
    tracked.set_tags(
        {
            "dataset.heldout.id": dataset.id,
            "dataset.id": trained.dataset_id,
            "system": system.facts.name,
            **model_tags(trained.model),
            "simulator": trained.id,
        }
    )
    measured = {"horizons": list(horizons), "starts": starts, "seed": seed}
    tracked.log_parameters({**trained.recipe, "evaluation": measured, "checkpoint": str(checkpoint)})
    track_curve(result.curve, tracked)
    track_dimensions(pd.read_csv(out / HORIZON_DIMENSIONS), tracked)
    with torch_threads(threads):
        speed = rollout_speed(model, trajectories.states, trajectories.actions, device)
    tracked.log_metrics({metric_names.ROLLOUT_SPEED: speed}, step=0)
    track_horizons(result.table, tracked)
    if result.calibration is not None:
        track_calibration(result.calibration, tracked)
    tracked.describe(note(horizon_summary(result.table)))
    for file in result.files:
        tracked.log_artifact(file, "evaluation")
    if result.diverged:
        warn(f"the prediction diverged from {result.diverged} starts; their error counts as infinite.")
    return result


def track_curve(curve: pd.DataFrame, tracked: TrackedRun) -> None:
    """Tracks the rows of `horizon_curve.csv` by physics step."""
    for row in curve.to_dict("records"):
        model = row["model"]
        tracked.log_metrics(
            {
                f"{metric_names.HORIZON_CURVE}{model}": row["mse"],
                f"{metric_names.HORIZON_CURVE_AT}{model}": row["mse_at"],
            },
            step=row["step"],
        )


def track_dimensions(table: pd.DataFrame, tracked: TrackedRun) -> None:
    """Tracks the rows of `horizon_dimensions.csv` that are of the simulator: `state_mse_16/00 qpos shoulder`.

    The names have the dimension's place in the state, so that they stand in its order in MLflow too, and the horizon,
    so that each is told with the run itself: whoever reads a thousand runs need not ask for every history.
    """
    rows = table[table["model"] == MODEL_NAME]
    for horizon, of_horizon in rows.groupby("horizon"):
        errors = zip(of_horizon["dimension"], of_horizon["mse"], strict=True)
        metrics = {
            f"state_mse_{horizon}/{place:02d} {name.replace('/', ' ')}": error
            for place, (name, error) in enumerate(errors)
        }
        tracked.log_metrics(metrics, step=int(str(horizon)))


def track_horizons(table: pd.DataFrame, tracked: TrackedRun) -> None:
    """Tracks the simulator's errors of `horizon.csv`, a metric a horizon: MLflow's tables show one number a metric."""
    rows = table.loc[table["model"] == MODEL_NAME]
    errors = zip(rows["horizon"], rows["mse"], strict=True)
    tracked.log_metrics({metric_names.held_out_error(horizon): error for horizon, error in errors}, step=0)


def track_calibration(calibration: Calibration, tracked: TrackedRun) -> None:
    """Tracks coverage and rank correlation by physics step."""
    for row in calibration.table().to_dict("records"):
        values = {f"calibration/{name}": row[name] for name in ("coverage", "rank_correlation")}
        tracked.log_metrics({name: value for name, value in values.items() if np.isfinite(value)}, step=row["step"])


def horizon_summary(rows: pd.DataFrame) -> Table:
    """The rows of `horizon.csv` as a table for the terminal: one row a horizon, one column a model."""
    table = Table(title="horizon error: mean squared error over steps 1..H, raw [q, v]", title_justify="left")
    models = list(dict.fromkeys(rows["model"]))  # In the order of the file: the simulator first.
    knowledge = knowledge_by_model(rows)
    for column in ("H", "starts", *(names.with_knowledge(model, knowledge[model]) for model in models)):
        table.add_column(column, justify="right")
    for horizon, of_models in rows.groupby("horizon"):
        mse = of_models.set_index("model")["mse"]
        cells = [f"{mse[model]:.3g}" if np.isfinite(mse[model]) else "diverged" for model in models]
        table.add_row(str(horizon), str(of_models["starts"].iloc[0]), *cells)
    return table


def calibration_summary(calibration: Calibration, horizons: Sequence[int]) -> Table:
    """What `Calibration` says at each of the horizons that it reaches, for the terminal."""
    table = Table(title="uncertainty beside the error, at step H", title_justify="left")
    for column in ("H", "uncertainty", "error", f"share within {COVERED:g} x", "rank correlation"):
        table.add_column(column, justify="right")
    rows = calibration.table().set_index("step")
    for horizon in sorted(set(horizons) & set(rows.index)):
        row = rows.loc[horizon]
        sizes = f"{row['uncertainty']:.3g}", f"{row['error']:.3g}"
        table.add_row(str(horizon), *sizes, f"{row['coverage']:.2f}", f"{row['rank_correlation']:.2f}")
    return table
