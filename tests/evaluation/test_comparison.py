"""A prediction beside the truth, and its film: values against `measure_rollouts`, pixels against the renderer."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from torch import Tensor

from mosim.core.errors import MismatchError
from mosim.data import Episode, PoissonBehaviour, Trajectories, collect_episode
from mosim.evaluation import (
    Comparison,
    FilmStyle,
    compare,
    error_strip,
    film_comparison,
    measure_rollouts,
    write_contact_sheet,
)
from mosim.models import MarkovModel, MujocoDynamics
from mosim.rendering import Renderer
from mosim.tasks import Task, load_task

STEPS = 40
STYLE = FilmStyle(fps=25.0, speed=2.0, width=320, moments=3)
LABELLED = 40
"""Rows of a panel that words may stand in."""


class Drifts(MarkovModel):
    """The truth, off by `drift * step` in every dimension; not finite from step `ends` on."""

    def __init__(self, task: Task, drift: float = 0.01, ends: int = 10**9) -> None:
        super().__init__(task.facts)
        self._truth, self._drift, self._ends = MujocoDynamics(task), drift, ends

    def step(self, carry: Tensor, action: Tensor) -> Tensor:
        return self.advance(carry, action.unsqueeze(-2))[0]

    def advance(self, carry: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        steps = torch.arange(1, actions.shape[-2] + 1, dtype=torch.float64).unsqueeze(-1)
        carry, states = self._truth.advance(carry, actions)
        return carry, torch.where(steps >= self._ends, torch.nan, states + self._drift * steps)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("reacher-easy")


@pytest.fixture(scope="module")
def episode(task: Task) -> Episode:
    return collect_episode(task, PoissonBehaviour(), STEPS, 7, 0)


@pytest.fixture(scope="module")
def comparison(task: Task, episode: Episode) -> Comparison:
    return compare(Drifts(task), task, episode)


def test_errors_are_horizon_errors(task: Task, episode: Episode, comparison: Comparison) -> None:
    trajectories = Trajectories.of(task.facts, [episode])
    measured = measure_rollouts(Drifts(task), trajectories, STEPS, np.array([0]))
    errors = comparison.horizon_errors()
    np.testing.assert_allclose(errors, [measured.mse(horizon) for horizon in range(1, STEPS + 1)])
    np.testing.assert_allclose(errors, [np.mean((0.01 * np.arange(1, h + 1)) ** 2) for h in range(1, STEPS + 1)])
    assert list(comparison.errors) == ["mosim", "persistence", "chaos-floor"]
    assert comparison.horizon_errors("chaos-floor")[-1] < 1e-6 < comparison.horizon_errors("persistence")[-1]
    np.testing.assert_array_equal(comparison.predicted[0], episode.states[0])


def test_a_simulator_of_something_else_is_refused(task: Task) -> None:
    other = load_task("acrobot-swingup")
    episode = collect_episode(other, PoissonBehaviour(), 3, 0, 0)
    with pytest.raises(MismatchError, match="does not fit system acrobot"):
        compare(Drifts(task), other, episode)


def test_the_strip_s_dot_stands_at_the_horizon_error(task: Task, comparison: Comparison) -> None:
    strip = error_strip(comparison, 640)
    for step in (10, 25, 40):
        time, error = step * task.facts.timestep, comparison.horizon_errors()[step - 1]
        across, down = strip.place(time, error)
        blue = np.abs(strip.at(time).astype(int) - (0, 114, 178)).max(axis=-1) < 40
        rows, columns = np.nonzero(blue[:, round(across) - 3 :])
        assert columns.size > 20
        below_the_figure = rows > 40
        assert rows[below_the_figure].mean() == pytest.approx(down, abs=2)


def read(path: Path) -> list[np.ndarray]:
    reader = imageio_ffmpeg.read_frames(str(path))
    told = next(reader)
    assert isinstance(told, dict)
    width, height = told["size"]
    return [np.frombuffer(each, np.uint8).reshape(height, width, 3) for each in reader if isinstance(each, bytes)]


def gap(part: np.ndarray, drawn: np.ndarray, where: np.ndarray) -> float:
    """Mean difference of two pictures, of those pixels, below the words."""
    return float(np.abs(part.astype(int) - drawn)[LABELLED:][where[LABELLED:]].mean())


def test_the_film_shows_truth_above_and_prediction_below(
    opengl: None, task: Task, comparison: Comparison, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    count = film_comparison(
        comparison, task, tmp_path / "film.mp4", STYLE, lambda done, total: told.append((done, total))
    )
    frames = read(tmp_path / "film.mp4")
    assert count == len(frames) == 11  # 40 steps of 0.02 s are 0.8 s, and twice as fast 0.4 s.
    assert told == [(done, 11) for done in range(1, 12)]
    panel, rule = 160, 1
    with Renderer(task, 320, panel, comparison.context) as renderer:
        for frame, step in ((0, 0), (5, 20), (10, 40)):
            assert frames[frame].shape[0] > 2 * panel + 60
            parts = frames[frame][:panel], frames[frame][panel + rule : 2 * panel + rule]
            drawn = [renderer.draw(states[step])[0] for states in (comparison.truth, comparison.predicted)]
            apart = np.abs(drawn[0].astype(int) - drawn[1]).max(axis=-1) > 60
            assert apart.any() == (step > 0), "the two robots stand apart but for the start"
            for part, own, other in ((parts[0], *drawn), (parts[1], *reversed(drawn))):
                assert gap(part, own, ~apart) < 3, "as compression leaves it"
                if step:
                    assert gap(part, own, apart) < gap(part, other, apart) / 2


def test_a_prediction_that_is_no_motion_stands_still_and_is_told(
    opengl: None, task: Task, episode: Episode, tmp_path: Path
) -> None:
    broken = compare(Drifts(task, drift=0.0, ends=11), task, episode)
    assert np.isinf(broken.horizon_errors()[10:]).all()
    film_comparison(broken, task, tmp_path / "film.mp4", STYLE)
    frames = read(tmp_path / "film.mp4")
    below = [frame[161 + LABELLED : 321].astype(int) for frame in frames]
    assert np.abs(below[3] - below[10]).mean() < 0.7
    assert np.abs(below[0] - below[2]).mean() > 1
    corner = np.s_[161:190, 160:]
    assert frames[10][corner].max() > frames[2][corner].max() + 30, "it says so"


def test_the_contact_sheet_has_truth_above_prediction(
    opengl: None, task: Task, comparison: Comparison, tmp_path: Path
) -> None:
    from PIL import Image

    write_contact_sheet(comparison, task, tmp_path / "sheet.png", STYLE)
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=1)
    width = 2400 // 3
    height = round(0.86 * width)
    assert sheet.shape[1] > 2400
    dark = (sheet < 200).all(axis=-1)
    top, left = (int(np.argmax(dark.sum(axis=axis) > height)) for axis in (1, 0))
    with Renderer(task, width, height, comparison.context) as renderer:
        expected = renderer.draw(comparison.truth[0])[0]
    np.testing.assert_array_equal(sheet[top : top + height, left : left + width], expected)
