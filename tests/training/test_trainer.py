import itertools
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pendulum_run
import pytest
import torch
from pendulum_run import RECIPE, make_trainer, trajectories

from mosim.core.errors import DivergenceError, MismatchError, MosimError
from mosim.training import Report, StageConfig, TrainingData, load_simulator


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_simulator(path).state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Report]]:
    out = tmp_path_factory.mktemp("unbroken")
    reports: list[Report] = []
    make_trainer(out).run(reports.append)
    return out, reports


def test_training_learns(unbroken: tuple[Path, list[Report]]) -> None:
    _, reports = unbroken
    ends = [report for report in reports if report.validation is not None]
    assert [report.name for report in ends] == ["predictor", "first", "second"]
    assert all(math.isfinite(report.loss) for report in reports)
    states = trajectories().states[trajectories().offsets[-2] :]
    moved = np.mean([(states[step : step - 17 or None] - states[:-17]) ** 2 for step in range(1, 17)])
    assert (ends[-1].validation or np.inf) < 0.1 * moved


def test_a_stage_changes_its_own_parts_and_no_other_by_a_bit(unbroken: tuple[Path, list[Report]]) -> None:
    out, _ = unbroken
    stages = [weights(path) for path in sorted((out / "checkpoints").glob("step-*-stage-*"))]
    assert len(stages) == 3
    for (before, after), learning in zip(itertools.pairwise(stages), ("correctors.0.", "correctors.1."), strict=True):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed
        assert all(name.startswith(learning) for name in changed)


def test_untrained_correctors_stay_out(unbroken: tuple[Path, list[Report]]) -> None:
    out, _ = unbroken
    first = sorted((out / "checkpoints").glob("step-*"))[0]
    corrector = {
        name: value for name, value in weights(first).items() if name.startswith("correctors.1.network.output")
    }
    assert corrector
    assert not any(value.any() for value in corrector.values())


@pytest.mark.parametrize(
    "kill_at", [pytest.param(100, marks=pytest.mark.slow), 300, pytest.param(600, marks=pytest.mark.slow)]
)
def test_killed_and_resumed_training_gives_the_same_weights(
    tmp_path: Path, unbroken: tuple[Path, list[Report]], kill_at: int
) -> None:
    command = [sys.executable, pendulum_run.__file__, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= kill_at:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL)
    assert same(weights(tmp_path), weights(unbroken[0]))


def test_a_finished_run_resumes_to_itself(unbroken: tuple[Path, list[Report]]) -> None:
    out, _ = unbroken
    trainer = make_trainer(out, resume=True)
    assert trainer.finished
    assert trainer.run(lambda report: pytest.fail("trained again")) == sorted((out / "checkpoints").glob("step-*"))[-1]


def test_an_existing_run_is_not_overwritten(unbroken: tuple[Path, list[Report]]) -> None:
    with pytest.raises(MosimError, match="--resume"):
        make_trainer(unbroken[0])


def test_resuming_with_another_recipe_names_what_differs(unbroken: tuple[Path, list[Report]]) -> None:
    other = RECIPE.model_copy(update={"seed": 1})
    with pytest.raises(MismatchError, match=r"recipe\.seed was"):
        make_trainer(unbroken[0], recipe=other, resume=True)


def test_divergence_names_system_stage_step_and_dimension(tmp_path: Path) -> None:
    data = trajectories()
    states = data.states.copy()
    states[:, 1] *= 1e25  # Velocities whose square leaves float32.
    broken = type(data)(data.facts, states, data.actions, data.offsets, data.contexts)
    stage = StageConfig(name="wild", learns=("predictor",), steps=100, batch_size=64, loss="mse")
    trainer = make_trainer(tmp_path, RECIPE.model_copy(update={"stages": (stage,)}), data=broken)
    trainer.model.statistics.displacement_std[:] = 1e-6
    with pytest.raises(
        DivergenceError, match=r"pendulum diverged in stage 'wild' at gradient step 0.*qpos displacement 0"
    ):
        trainer.run(lambda report: None)


def test_a_stage_that_stagnates_ends_early_and_says_so(tmp_path: Path) -> None:
    stage = StageConfig(
        name="idle", learns=("predictor",), steps=5000, batch_size=16, learning_rate=1e-12, patience=0.1
    )
    reports: list[Report] = []
    make_trainer(tmp_path, RECIPE.model_copy(update={"stages": (stage,)})).run(reports.append)
    assert reports[-1].step < 3000
    assert "idle ends early" in reports[-1].note


def test_a_budget_of_minutes_is_kept(tmp_path: Path) -> None:
    reports: list[Report] = []
    trainer = make_trainer(tmp_path, RECIPE.within(0.05))
    started = time.perf_counter()
    trainer.run(reports.append)
    assert time.perf_counter() - started < 3 * 3  # Three seconds of training, and room for a busy machine.
    assert [report.stage for report in reports if report.validation is not None] == [0, 1, 2]


def test_a_single_episode_is_trained_on_and_watched(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, data=trajectories(episodes=1))
    rows = {tuple(row) for row in trainer._data.states[:-1].tolist()}
    for sampler in (trainer._training, trainer._validation._windows):
        states, _ = sampler.draw(2000, 1)
        assert {tuple(row) for row in states[:, 0].tolist()} == rows


def test_the_first_episodes_alone_are_trained_on_with_their_own_scales(tmp_path: Path) -> None:
    whole = TrainingData.of(trajectories(), "test")
    first = TrainingData.of(trajectories().select([0, 1, 2]), "test")
    trainer = make_trainer(tmp_path, RECIPE.model_copy(update={"episodes": 3}))
    assert np.array_equal(trainer._data.states, first.states)
    assert np.array_equal(trainer._data.offsets, first.offsets)
    for name, scale in trainer.model.statistics.tensors().items():
        torch.testing.assert_close(scale, first.statistics.tensors()[name], rtol=1e-5, atol=1e-5)
    assert not torch.equal(trainer.model.statistics.qpos_std, whole.statistics.qpos_std)
    states, _ = trainer._training.draw(5000, 1)
    seen = {tuple(row) for row in states[:, 0].tolist()}
    assert seen <= {tuple(row) for row in first.states[: first.offsets[2]].tolist()}, "the third is watched"


def test_more_episodes_than_there_are_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="uses the first 99 episodes, but the dataset has"):
        make_trainer(tmp_path, RECIPE.model_copy(update={"episodes": 99}))
    assert not list(tmp_path.iterdir())


def test_validation_episodes_are_kept_from_training(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    states, _ = trainer._training.draw(5000, 1)
    kept = trajectories().states[trajectories().offsets[-2] :].astype(np.float32)
    drawn = {tuple(row) for row in states[:, 0].numpy()}
    assert not drawn & {tuple(row) for row in kept}
