"""The film and the contact sheet of a prediction: truth above, prediction below, the growing error under both."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mosim.evaluation.comparison import Comparison
from mosim.evaluation.plots import STYLES
from mosim.evaluation.report import MODEL_NAME
from mosim.rendering import Renderer, Strip, StripLine, contact_sheet, frame_steps, label, write_film, write_sheet
from mosim.robots import System
from mosim_analysis.names import with_knowledge

TRUE_LABEL, PREDICTED_LABEL = "true physics (MuJoCo)", "neural simulator"

_PANEL_SHAPE, _STRIP_SHAPE, _CELL_SHAPE = 0.5, 0.27, 0.86
"""Height over width, of a panel, of the strip, and of a picture in the contact sheet."""

_LETTERS = 1 / 45
"""Size of the letters, as a share of the film's width; of the contact sheet's, half as much."""

_SHEET_WIDTH = 2400
"""Pixels: 8 inches at 300 dots an inch."""

_LARGEST = 1e4
"""Magnitude of a state beyond which it counts as diverged, as in environments, and is not drawn."""

_GONE_COLOUR = (255, 196, 112)


class FilmStyle(NamedTuple):
    """How a comparison is filmed.

    Attributes:
      fps: frames a second.
      speed: seconds of motion in a second of film.
      width: of the film, in pixels.
      camera: one of the model's cameras; None chooses.
      moments: pictures in a row of the contact sheet, 2 or more.
    """

    fps: float = 25.0
    speed: float = 1.0
    width: int = 640
    camera: str | None = None
    moments: int = 6


DEFAULT_STYLE = FilmStyle()


def film_comparison(
    comparison: Comparison,
    system: System,
    path: Path,
    style: FilmStyle = DEFAULT_STYLE,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes an MP4 of a comparison, and returns how many frames it has.

    Args:
      comparison: from `compare`.
      system: the true system.
      path: the file, ending in `.mp4`.
      style: how.
      on_frame: told how many frames are drawn, and how many there will be.

    Raises:
      NoOpenGLError: nothing can be drawn here.
      MosimError: the film cannot be written.
    """
    steps = frame_steps(comparison.steps, system.facts.timestep, style.fps, style.speed)
    with Renderer(system, style.width, _even(_PANEL_SHAPE * style.width), comparison.context, style.camera) as renderer:
        frames = _frames(comparison, renderer, error_strip(comparison, style.width), steps, on_frame)
        return write_film(path, frames, style.fps)


def error_strip(comparison: Comparison, width: int) -> Strip:
    """The strip under the film: the horizon error of each H, of the simulator and of the baselines, over time."""
    timestep = comparison.facts.timestep
    lines = [
        StripLine(comparison.horizon_errors(name), STYLES[name] | {"label": STYLES[name]["label"].partition(" (")[0]})
        for name in comparison.errors
    ]
    title = "mean squared error over steps 1..H, raw [q, v]"
    times = timestep * np.arange(1, comparison.steps + 1)
    return Strip(width, _even(_STRIP_SHAPE * width), times, lines, title, letters=_LETTERS * width)


def write_contact_sheet(comparison: Comparison, system: System, path: Path, style: FilmStyle = DEFAULT_STYLE) -> None:
    """Writes a PNG: moments at equal distances from the start to the end, truth above prediction, times labelled.

    Raises:
      NoOpenGLError: nothing can be drawn here.
    """
    steps = np.round(np.linspace(0, comparison.steps, style.moments)).astype(int)
    width = _SHEET_WIDTH // style.moments
    rows: list[list[np.ndarray]] = [[], []]
    states, gone = _drawable(comparison.predicted)
    with Renderer(system, width, round(_CELL_SHAPE * width), comparison.context, style.camera) as renderer:
        for step in steps:
            true, place = renderer.draw(comparison.truth[step])
            predicted, _ = renderer.draw(states[step], place)
            rows[0].append(true)
            rows[1].append(predicted)
    errors = np.concatenate([[0.0], comparison.horizon_errors()])
    heads = [_clock(step, system.facts.timestep) for step in steps]
    notes = ["same start", *("diverged" if step >= gone else f"error {errors[step]:.2g}" for step in steps[1:])]
    labels = ("true physics", with_knowledge(PREDICTED_LABEL, comparison.knowledge))
    colour = str(STYLES[MODEL_NAME]["color"])
    write_sheet(path, contact_sheet(rows, labels, heads, notes, _LETTERS * _SHEET_WIDTH / 1.6, colour))


def _frames(
    comparison: Comparison,
    renderer: Renderer,
    strip: Strip,
    steps: np.ndarray,
    on_frame: Callable[[int, int], None],
) -> Iterator[np.ndarray]:
    timestep, letters = comparison.facts.timestep, _LETTERS * renderer.width
    states, gone = _drawable(comparison.predicted)
    for number, step in enumerate(steps, 1):
        true, place = renderer.draw(comparison.truth[step])
        predicted, _ = renderer.draw(states[step], place)
        true, predicted = true.copy(), predicted.copy()
        label(true, TRUE_LABEL, letters)
        label(true, _clock(step, timestep), letters, right=True)
        label(predicted, with_knowledge(PREDICTED_LABEL, comparison.knowledge), letters)
        if step >= gone:
            label(predicted, f"diverged at {_clock(gone, timestep)}", letters, right=True, colour=_GONE_COLOUR)
        rule = np.full((max(round(letters / 7), 1), renderer.width, 3), 255, np.uint8)
        yield np.concatenate([true, rule, predicted, strip.at(step * timestep)])
        on_frame(number, len(steps))


def _drawable(states: np.ndarray) -> tuple[np.ndarray, int]:
    """The states, with the last before a divergence in place of those after it; and the step of the divergence."""
    sane = (np.abs(np.nan_to_num(states, nan=np.inf)) <= _LARGEST).all(axis=-1)
    if sane.all():
        return states, len(states)
    gone = int(np.argmin(sane))
    return np.concatenate([states[:gone], np.repeat(states[gone - 1 : gone], len(states) - gone, axis=0)]), gone


def _clock(step: int, timestep: float) -> str:
    return f"{step * timestep:.2f} s"


def _even(pixels: float) -> int:
    return 2 * round(pixels / 2)
