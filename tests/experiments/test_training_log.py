"""The cost of a training that was stopped and went on."""

from pathlib import Path

import pytest

from mosim.experiments.study.training_log import TrainingLog
from mosim.training import Report, StageConfig

STAGE = StageConfig(name="first", learns=("predictor",), steps=400, batch_size=10, horizon=2)


def report(step: int, validation: float | None = None) -> Report:
    return Report(0, 1, "first", step, step / 400, 0.5, samples_per_second=1000.0, learning_rate=1e-3,
                  calls_per_step=1.0, validation=validation)  # fmt: skip


def test_work_that_is_done_again_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "training.jsonl"
    log = TrainingLog(path, steps=None)
    for step in (100, 200, 300):
        log.note(report(step), STAGE)
    assert (log.steps, log.samples, log.seconds) == (300, 6000, pytest.approx(6.0))
    with path.open("a") as file:
        file.write('{"stage": "first", "st')  # A process killed while it wrote.
    resumed = TrainingLog(path, steps=200)
    assert (resumed.steps, resumed.samples) == (200, 4000)
    for step, validation in ((300, None), (400, None), (400, 0.1)):
        resumed.note(report(step, validation), STAGE)
    assert (resumed.steps, resumed.samples, resumed.seconds) == (400, 8000, pytest.approx(8.0))
    assert TrainingLog(path, steps=400).rows == resumed.rows
    assert TrainingLog(path, steps=None).rows == [], "a training that begins anew has cost nothing yet"


def test_a_stage_that_solves_costs_the_seconds_that_training_says(tmp_path: Path) -> None:
    solving = STAGE.model_copy(update={"optimizer": "least_squares", "steps": None})
    log = TrainingLog(tmp_path / "training.jsonl", steps=None)
    log.note(report(0, 0.1)._replace(samples_per_second=0.0, seconds=7.0), solving)
    assert log.seconds == pytest.approx(7.0)
    log = TrainingLog(tmp_path / "training.jsonl", steps=0)
    log.note(report(100)._replace(seconds=9.0), STAGE)
    assert log.seconds == pytest.approx(9.0)
