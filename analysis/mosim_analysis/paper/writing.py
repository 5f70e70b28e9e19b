"""All figures of an experiment, as files."""

import re
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path, PurePath

from matplotlib.figure import Figure

from mosim_analysis import names
from mosim_analysis.importance import importance
from mosim_analysis.metric_names import COST_HORIZON
from mosim_analysis.names import Style
from mosim_analysis.paper import figures
from mosim_analysis.paper.drawing import save
from mosim_analysis.results import Results
from mosim_analysis.task_frames import COSTS, TaskFrames, task_frames

_ODD = re.compile(r"[^\w.]+")
_LONGEST = 60
"""Characters of a file's name: a system may have them take four bytes each, and 255 bytes in all."""


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Writes each figure that an experiment has something for, as `TASK-FIGURE.pdf` and `.png`.

    Args:
      results: of `mosim_analysis.read_results`.
      folder: for the files; made where it is missing.

    Returns:
      Their paths.
    """
    styles = names.styles(map(str, results.runs["group"].dropna()))
    written: list[Path] = []
    for frames in task_frames(results):
        for name, figure in _figures(frames, styles):
            stem = _stem(f"{PurePath(frames.task).name or 'experiment'}-{name}", {path.stem for path in written})
            written += save(figure, folder / stem)
    return written


def _stem(name: str, taken: Collection[str]) -> str:
    """A file's name, without its ending, that any system takes and that no other figure has."""
    plain = _ODD.sub("-", name).strip("-._")[:_LONGEST] or "figure"
    stems = (plain if number == 1 else f"{plain}-{number}" for number in count(1))
    return next(stem for stem in stems if stem not in taken)


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
