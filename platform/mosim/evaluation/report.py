"""The whole measurement of a simulator: tables and a plot, in one folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mosim.dynamics import DynamicsModel, HoldLast, PerturbedTwin
from mosim.errors import MismatchError
from mosim.evaluation.horizon import (
    RolloutErrors,
    dimension_table,
    draw_starts,
    horizon_curve,
    horizon_table,
    measure_rollouts,
    share_starts,
)
from mosim.evaluation.plots import plot_horizon
from mosim.files import atomic_path
from mosim.systems import System
from mosim.trajectories import Trajectories

MODEL_NAME = "mosim"


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured and wrote.

    Attributes:
      table: of `horizon_table`.
      curve: of `horizon_curve`.
      files: what was written: `horizon.csv`, `horizon_curve.csv`, `horizon_dimensions.csv`, `horizon.png`.
      diverged: starts from which the model's prediction did not stay finite.
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    files: tuple[Path, ...]
    diverged: int


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
    """Measures a model beside hold-last and the perturbed twin, on the same starts, and writes the tables and the plot.

    Args:
      model: the simulator.
      system: the true system, for the perturbed twin.
      trajectories: held-out episodes of the system.
      out: folder for the files.
      dataset: the dataset's id, for the tables.
      horizons: physics steps; see `share_starts` for which are measured on the same starts.
      starts: how many are drawn; all of them where there are fewer.
      seed: of the draw.
      device: where the model is.
      threads: for the twin's physics.
      on_progress: told of finished starts.

    Raises:
      MismatchError: the model is of another system; says which fact differs.
      MosimError: no episode is as long as a horizon.
    """
    if wrong := model.facts.differences(system.facts):
        raise MismatchError(f"the simulator does not fit {system.source}: {'; '.join(wrong)}.")
    groups = share_starts(horizons, int(trajectories.lengths.max()))
    drawn = [(group, draw_starts(trajectories, group[-1], starts, seed)) for group in groups]
    contenders: dict[str, tuple[DynamicsModel, str]] = {
        MODEL_NAME: (model, device),
        "hold-last": (HoldLast(system.facts), "cpu"),
        "perturbed-twin": (PerturbedTwin(system, threads=threads, seed=seed), "cpu"),
    }
    measured: dict[str, dict[int, RolloutErrors]] = {}
    for name, (contender, place) in contenders.items():
        measured[name] = {}
        for group, rows in drawn:
            errors = measure_rollouts(
                contender, trajectories, group[-1], rows, place, lambda count, name=name: on_progress(name, count)
            )
            measured[name] |= dict.fromkeys(group, errors)
    table = horizon_table(system.facts.name, dataset, measured)
    curve = horizon_curve(system.facts.name, dataset, measured)
    dimensions = dimension_table(system.facts.name, dataset, system.facts.state_names, measured)
    files = [out / "horizon.csv", out / "horizon_curve.csv", out / "horizon_dimensions.csv", out / "horizon.png"]
    for frame, path in zip((table, curve, dimensions), files[:-1], strict=True):
        with atomic_path(path) as aside:
            frame.to_csv(aside, index=False)
    plot_horizon(curve, table, files[-1])
    return Evaluation(table, curve, tuple(files), sum(measured[MODEL_NAME][group[-1]].diverged for group in groups))
