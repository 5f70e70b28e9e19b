"""All figures of an experiment, as files."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from mosim_analysis import names
from mosim_analysis.importance import importance
from mosim_analysis.names import Style
from mosim_analysis.paper import figures
from mosim_analysis.paper.drawing import save
from mosim_analysis.results import COST_HORIZON, Results
from mosim_analysis.task_frames import COSTS, TaskFrames, task_frames


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Writes each figure that an experiment has something for, as `TASK-FIGURE.pdf` and `.png`.

    Args:
      results: of `mosim_analysis.read_results`.
      folder: for the files; made where it is missing.

    Returns:
      Their paths.
    """
    styles = names.styles(map(str, results.runs["group"].dropna()))
    return [
        path
        for frames in task_frames(results)
        for name, figure in _figures(frames, styles)
        for path in save(figure, folder / f"{frames.task or 'experiment'}-{name}".replace("/", "-"))
    ]


def _figures(frames: TaskFrames, styles: dict[str, Style]) -> Iterator[tuple[str, Figure]]:
    if len(frames.curves):
        yield "horizon", figures.horizon_curves(frames.curves, styles)
    if (frames.dimensions["mse"] > 0).any():
        measured = frames.dimensions["horizon"].unique()
        horizon = frames.horizon if frames.horizon in measured else int(max(measured))
        yield "dimensions", figures.dimension_errors(frames.dimensions, horizon)
    if (frames.training["loss"] > 0).any():
        yield "loss", figures.loss_curves(frames.training, styles)
    for cost in COSTS:
        if len(rows := frames.costs(cost)):
            yield f"error-over-{cost}", figures.error_over_cost(rows, cost, COST_HORIZON, styles)
    if len(frames.speeds):
        yield "error-over-speed", figures.error_over_speed(frames.speeds, frames.horizon, styles)
    if len(frames.returns):
        yield "returns", figures.returns_against_truth(frames.returns, frames.random_return, styles)
    for sweep in frames.sweeps():
        if not (found := importance(sweep.trials, sweep.settings)).excuse:
            yield f"importance-{sweep.name}", figures.importances(found)
