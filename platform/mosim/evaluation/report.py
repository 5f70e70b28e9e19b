"""The whole measurement of a simulator: tables and a plot, in one folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mosim.core.files import atomic_path
from mosim.data import Trajectories
from mosim.evaluation.calibration import Calibration, measure_calibration
from mosim.evaluation.horizon import (
    Measured,
    RolloutErrors,
    dimension_table,
    draw_starts,
    horizon_curve,
    horizon_table,
    measure_rollouts,
    share_starts,
)
from mosim.models import ChaosFloor, DynamicsModel, LearnedModel, Persistence
from mosim.robots import System, SystemFacts, require_fit

MODEL_NAME, PERSISTENCE, CHAOS_FLOOR = "mosim", "persistence", "chaos-floor"

HORIZON_TABLE, HORIZON_CURVE, HORIZON_PLOT = "horizon.csv", "horizon_curve.csv", "horizon.png"
HORIZON_DIMENSIONS = "horizon_dimensions.csv"
CALIBRATION_TABLE, CALIBRATION_PLOT = "calibration.csv", "calibration.png"


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured and wrote.

    Attributes:
      table: of `horizon_table`.
      curve: of `horizon_curve`.
      files: what was written: `horizon.csv`, `horizon_curve.csv`, `horizon_dimensions.csv`, `horizon.png`; and
        `calibration.csv` and `calibration.png` where the model has an uncertainty.
      diverged: starts from which the model's prediction did not stay finite.
      calibration: of the model's uncertainty over the longest horizon that shares its starts; None where it has none.
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    files: tuple[Path, ...]
    diverged: int
    calibration: Calibration | None


def evaluate(
    model: DynamicsModel,
    system: System,
    trajectories: Trajectories,
    out: Path,
    *,
    dataset: str,
    horizons: Sequence[int],
    starts: int,
    seed: int,
    device: str = "cpu",
    threads: int = 1,
    on_progress: Callable[[str, int], None] = lambda model, starts: None,
) -> Evaluation:
    """Measures a model beside persistence and the chaos floor, on the same starts, and writes the tables and the plot.

    Args:
      model: the simulator.
      system: the true system, for the chaos floor.
      trajectories: held-out episodes of the system.
      out: folder for the files.
      dataset: the dataset's id, for the tables.
      horizons: physics steps; see `share_starts` for which are measured on the same starts.
      starts: how many are drawn; all of them where there are fewer.
      seed: of the draw.
      device: where the model is.
      threads: for the chaos floor's physics.
      on_progress: told of finished starts.

    Raises:
      MismatchError: the model is of another system; says which fact differs.
      MosimError: no episode is as long as a horizon.
    """
    require_fit(model.facts, system.facts, "the simulator")
    contenders: dict[str, tuple[DynamicsModel, str]] = {
        MODEL_NAME: (model, device),
        **{name: (baseline, "cpu") for name, baseline in baselines(system, threads, seed).items()},
    }
    measured = {
        name: measure_horizons(
            contender,
            trajectories,
            horizons=horizons,
            starts=starts,
            seed=seed,
            device=place,
            on_batch=lambda count, name=name: on_progress(name, count),
        )
        for name, (contender, place) in contenders.items()
    }
    knowledge = {name: contender.knowledge for name, (contender, _) in contenders.items()}
    table, curve, files = write_tables(out, system.facts, dataset, measured, knowledge)
    from mosim.evaluation.plots import plot_horizon  # Which brings matplotlib; a study's workers write tables alone.

    plot_horizon(curve, table, out / HORIZON_PLOT)
    calibration = _calibration(model, trajectories, horizons, starts, seed, device)
    files = (*files, out / HORIZON_PLOT, *_write_calibration(calibration, system.facts.name, out))
    # Horizons that share starts share their errors, and a start counts once.
    diverged = sum(errors.diverged for errors in {id(each): each for each in measured[MODEL_NAME].values()}.values())
    return Evaluation(table, curve, files, diverged, calibration)


def _write_calibration(calibration: Calibration | None, system: str, out: Path) -> tuple[Path, ...]:
    """Writes `calibration.csv` and `calibration.png`, where there is one; returns the paths."""
    if calibration is None:
        return ()
    from mosim.evaluation.plots import plot_calibration

    rows, table, plot = calibration.table(), out / CALIBRATION_TABLE, out / CALIBRATION_PLOT
    with atomic_path(table) as aside:
        rows.to_csv(aside, index=False)
    plot_calibration(rows, system, plot)
    return table, plot


def _calibration(
    model: DynamicsModel, trajectories: Trajectories, horizons: Sequence[int], starts: int, seed: int, device: str
) -> Calibration | None:
    if not isinstance(model, LearnedModel):
        return None
    steps = share_starts(horizons, int(trajectories.lengths.max()))[0][-1]
    return measure_calibration(model, trajectories, steps, draw_starts(trajectories, steps, starts, seed), device)


def baselines(system: System, threads: int = 1, seed: int = 0) -> dict[str, DynamicsModel]:
    """Persistence and the chaos floor, by the names that tables and plots know them by."""
    return {PERSISTENCE: Persistence(system.facts), CHAOS_FLOOR: ChaosFloor(system, threads=threads, seed=seed)}


def measure_horizons(
    model: DynamicsModel,
    trajectories: Trajectories,
    *,
    horizons: Sequence[int],
    starts: int,
    seed: int,
    device: str = "cpu",
    on_batch: Callable[[int], None] = lambda starts: None,
) -> dict[int, RolloutErrors]:
    """Measures one model at several horizons; arguments are those of `evaluate`, `on_batch` of `measure_rollouts`."""
    groups = share_starts(horizons, int(trajectories.lengths.max()))
    drawn = [(group, draw_starts(trajectories, group[-1], starts, seed)) for group in groups]
    measured: dict[int, RolloutErrors] = {}
    for group, rows in drawn:
        measured |= dict.fromkeys(group, measure_rollouts(model, trajectories, group[-1], rows, device, on_batch))
    return measured


def write_tables(
    out: Path, facts: SystemFacts, dataset: str, measured: Measured, knowledge: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Path, ...]]:
    """Writes `horizon.csv`, `horizon_curve.csv` and `horizon_dimensions.csv`; returns the first two, and the paths.

    Args:
      out: folder for the files.
      facts: of the system.
      dataset: the dataset's id.
      measured: errors by model and horizon.
      knowledge: of each model, see `DynamicsModel`.
    """
    table = horizon_table(facts.name, dataset, measured, knowledge)
    curve = horizon_curve(facts.name, dataset, measured)
    dimensions = dimension_table(facts.name, dataset, facts.state_names, measured)
    files = tuple(out / name for name in (HORIZON_TABLE, HORIZON_CURVE, HORIZON_DIMENSIONS))
    for frame, path in zip((table, curve, dimensions), files, strict=True):
        with atomic_path(path) as aside:
            frame.to_csv(aside, index=False)
    return table, curve, files
