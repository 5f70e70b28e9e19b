from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mosim.core.errors import MismatchError, MosimError
from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.evaluation import draw_starts, evaluate, horizon_curve, horizon_table, measure_rollouts, plots, share_starts
from mosim.models import MarkovModel, MujocoDynamics, Persistence
from mosim.tasks import load_task

TASK = load_task("acrobot-swingup")
STEPS, EPISODES = 60, 4


@pytest.fixture(scope="module")
def held_out() -> Trajectories:
    return Trajectories.of(
        TASK.facts, [collect_episode(TASK, PoissonBehaviour(), STEPS, 1, index) for index in range(EPISODES)]
    )


class OffByAConstant(MarkovModel):
    """Predicts the truth, off by `step * offset` in every dimension at each step of a rollout."""

    def __init__(self, offset: float) -> None:
        super().__init__(TASK.facts)
        self._truth = MujocoDynamics(TASK)
        self._offset = offset

    def step(self, carry: Tensor, action: Tensor) -> Tensor:
        return self.advance(carry, action.unsqueeze(-2))[0]

    def advance(self, carry: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        carry, truth = self._truth.advance(carry, actions)
        steps = torch.arange(1, actions.shape[-2] + 1, dtype=truth.dtype)
        return carry, truth + self._offset * steps.unsqueeze(-1)


class Diverges(Persistence):
    """Predicts infinity from states whose first coordinate is positive."""

    def step(self, carry: Tensor, action: Tensor) -> Tensor:
        return torch.where(carry[..., :1] > 0, torch.inf, carry)


def test_the_true_physics_have_no_error(held_out: Trajectories) -> None:
    starts = draw_starts(held_out, 16, 50, seed=0)
    assert measure_rollouts(MujocoDynamics(TASK), held_out, 16, starts).mse(16) < 1e-24


def test_the_measure_is_the_papers(held_out: Trajectories) -> None:
    """Squared error averaged over all steps 1..H, all dimensions and all starts: known in closed form here."""
    starts = draw_starts(held_out, 20, 30, seed=0)
    errors = measure_rollouts(OffByAConstant(0.01), held_out, 20, starts)
    steps = np.arange(1, 21)
    for horizon in (1, 7, 20):
        expected = np.mean((0.01 * steps[:horizon]) ** 2)
        assert errors.mse(horizon) == pytest.approx(expected, rel=1e-9)
        assert errors.mse_at(horizon) == pytest.approx((0.01 * horizon) ** 2, rel=1e-9)
        assert errors.mse_median(horizon) == pytest.approx(expected, rel=1e-9)
        assert errors.mse_of_dimensions(horizon) == pytest.approx(np.full(4, expected), rel=1e-9)


def test_persistence_is_the_change_of_the_truth(held_out: Trajectories) -> None:
    starts = draw_starts(held_out, 3, 40, seed=0)
    expected = np.mean([(held_out.states[starts + step] - held_out.states[starts]) ** 2 for step in (1, 2, 3)])
    assert measure_rollouts(Persistence(TASK.facts), held_out, 3, starts).mse(3) == pytest.approx(expected, rel=1e-12)


def test_starts_are_fixed_by_the_seed_and_stay_within_their_episode(held_out: Trajectories) -> None:
    starts = draw_starts(held_out, 25, 50, seed=7)
    assert np.array_equal(starts, draw_starts(held_out, 25, 50, seed=7))
    assert not np.array_equal(starts, draw_starts(held_out, 25, 50, seed=8))
    assert len(np.unique(starts)) == 50
    episode = np.searchsorted(held_out.offsets, starts, side="right")
    assert (starts + 25 < held_out.offsets[episode]).all()


def test_fewer_starts_than_asked_for_are_all_taken(held_out: Trajectories) -> None:
    assert len(draw_starts(held_out, STEPS, 400, seed=0)) == EPISODES


def test_a_horizon_longer_than_every_episode_is_refused(held_out: Trajectories) -> None:
    with pytest.raises(MosimError, match="no episode of the dataset has 61 steps"):
        draw_starts(held_out, STEPS + 1, 10, seed=0)


def test_divergence_is_infinite_and_counted(held_out: Trajectories) -> None:
    starts = draw_starts(held_out, 2, 50, seed=0)
    errors = measure_rollouts(Diverges(TASK.facts), held_out, 2, starts)
    assert errors.mse(2) == np.inf
    assert errors.diverged == int((held_out.states[starts, 0] > 0).sum())
    assert errors.diverged_within(1) <= errors.diverged_within(2) == errors.diverged
    assert errors.largest_start_mse(2) == np.inf


def test_the_worst_start_is_told_beside_the_mean(held_out: Trajectories) -> None:
    starts = draw_starts(held_out, 3, 40, seed=0)
    errors = measure_rollouts(Persistence(TASK.facts), held_out, 3, starts)
    each = [
        np.mean([(held_out.states[start + k] - held_out.states[start]) ** 2 for k in (1, 2, 3)]) for start in starts
    ]
    assert errors.largest_start_mse(3) == pytest.approx(max(each))
    assert errors.diverged_within(3) == 0


def test_the_curve_goes_through_the_table(held_out: Trajectories) -> None:
    model = OffByAConstant(0.1)
    shared = measure_rollouts(model, held_out, 10, draw_starts(held_out, 10, 20, seed=0))
    own = measure_rollouts(model, held_out, 40, draw_starts(held_out, 40, 20, seed=0))
    measured = {"model": {1: shared, 4: shared, 10: shared, 40: own}}
    table, curve = horizon_table("acrobot", "id", measured, {"model": "tree"}), horizon_curve("acrobot", "id", measured)
    assert list(table.columns) == [
        "system", "model", "knowledge", "dataset", "horizon", "mse", "mse_at", "mse_median", "largest_start_mse",
        "diverged", "starts",
    ]  # fmt: skip
    assert list(curve["step"]) == list(range(1, 41))
    for row in table.to_dict("records"):
        at = curve[curve["step"] == row["horizon"]].iloc[0]
        assert (at["mse"], at["mse_at"]) == pytest.approx((row["mse"], row["mse_at"]))


def test_evaluate_writes_what_it_says(held_out: Trajectories, tmp_path: Path) -> None:
    result = evaluate(OffByAConstant(0.1), TASK, held_out, tmp_path, dataset="id", horizons=(4, 1), starts=20, seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "horizon.csv", "horizon.png", "horizon_curve.csv", "horizon_dimensions.csv",
    ]  # fmt: skip
    table = pd.read_csv(tmp_path / "horizon.csv")
    assert list(table["model"].unique()) == ["mosim", "persistence", "chaos-floor"]
    assert list(table["horizon"].unique()) == [1, 4]
    floor = table[(table["model"] == "chaos-floor") & (table["horizon"] == 1)]["mse"].item()
    assert 1e-14 < floor < 1e-10  # A step of 1e-6 away, squared, over eight numbers.
    dimensions = pd.read_csv(tmp_path / "horizon_dimensions.csv")
    assert set(dimensions["dimension"]) == set(TASK.facts.state_names)
    assert result.diverged == 0


def test_tables_and_plot_say_what_a_simulator_is_told_of_its_robot(
    held_out: Trajectories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OffByAConstant(0.1)
    model.knowledge = "geometry"
    drawn: list[str] = []
    monkeypatch.setattr(plots.plt, "close", lambda figure: drawn.extend(_legend(figure)))
    evaluate(model, TASK, held_out, tmp_path, dataset="id", horizons=(4,), starts=5, seed=0)
    table = pd.read_csv(tmp_path / "horizon.csv", keep_default_na=False).set_index("model")
    assert table["knowledge"].to_dict() == {"mosim": "geometry", "persistence": "", "chaos-floor": ""}
    assert "neural simulator (geometry)" in drawn
    assert "persistence (predict no change)" in drawn


def _legend(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_model_of_another_system_is_refused(held_out: Trajectories, tmp_path: Path) -> None:
    other = Persistence(load_task("pendulum-swingup").facts)
    with pytest.raises(MismatchError, match="nq is 1 instead of 2"):
        evaluate(other, TASK, held_out, tmp_path, dataset="id", horizons=(1,), starts=2, seed=0)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), st.integers(1, 2000))
def test_every_horizon_is_measured_once_and_short_ones_together(horizons: list[int], longest: int) -> None:
    groups = share_starts(horizons, longest)
    assert sorted(horizon for group in groups for horizon in group) == sorted(set(horizons))
    assert all(group == sorted(group) for group in groups)
    assert all(len(group) == 1 for group in groups if group[-1] > max(longest // 2, 1))
    assert sum(group[-1] <= max(longest // 2, 1) for group in groups) <= 1


def test_standard_horizons_of_a_thousand_steps() -> None:
    assert share_starts((1, 3, 16, 100, 1000), 1000) == [[1, 3, 16, 100], [1000]]
