"""Calibration of a model whose uncertainty is known: its members are trained on nothing, and differ as they differ."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.evaluation import COVERED, Calibration, draw_starts, evaluate, measure_calibration
from mosim.models import Persistence
from mosim.models.arrays import Ensemble, EnsembleConfig, GRUConfig
from mosim.models.statistics import Statistics
from mosim.tasks import load_task

TASK = load_task("acrobot-swingup")
STEPS, EPISODES, STARTS = 60, 4, 30


@pytest.fixture(scope="module")
def held_out() -> Trajectories:
    return Trajectories.of(
        TASK.facts, [collect_episode(TASK, PoissonBehaviour(), STEPS, 1, index) for index in range(EPISODES)]
    )


@pytest.fixture(scope="module")
def ensemble(held_out: Trajectories) -> Ensemble:
    torch.manual_seed(0)
    statistics = Statistics.of(TASK.facts, held_out.states[:-1], held_out.states[1:])
    return EnsembleConfig(members=4, parameters=2000).build(TASK.facts, statistics)


def test_uncertainties_that_are_in_the_order_of_the_errors_are_found_to_be() -> None:
    error = np.random.default_rng(0).lognormal(size=(50, 3))
    follows = Calibration(uncertainty=error / [1.0, 1.9, 2.1], error=error)
    assert [follows.coverage(step) for step in (1, 2, 3)] == [1.0, 1.0, 0.0]
    assert [follows.rank_correlation(step) for step in (1, 2, 3)] == pytest.approx([1.0, 1.0, 1.0])
    against = Calibration(uncertainty=1 / error, error=error)
    assert against.rank_correlation(2) == pytest.approx(-1.0)
    # Whatever the sizes: only the order counts.
    assert Calibration(error**3, error).rank_correlation(1) == pytest.approx(1.0)
    diverged = Calibration(uncertainty=error, error=np.where(np.arange(50)[:, None] < 5, np.inf, error))
    assert diverged.coverage(1) == pytest.approx(0.9)
    assert np.isnan(Calibration(error[:2], error[:2]).rank_correlation(1))


def test_errors_and_uncertainties_are_those_of_the_rollouts(held_out: Trajectories, ensemble: Ensemble) -> None:
    starts = draw_starts(held_out, 8, STARTS, seed=0)
    found = measure_calibration(ensemble, held_out, 8, starts)
    assert found is not None
    assert found.error.shape == found.uncertainty.shape == (STARTS, 8)
    row = 7
    states = torch.from_numpy(held_out.states[starts[row] : starts[row] + 9]).float()
    actions = torch.from_numpy(held_out.actions[starts[row] : starts[row] + 8]).float()
    with torch.no_grad():
        carry, predicted = ensemble.advance(ensemble.init(states[None, :1], actions[None, :0]), actions[None])
        assert isinstance(carry, torch.Tensor)
        spread = ensemble.uncertainty(carry)
    # Acrobot has two hinges and no orientations, so tangent vectors are plain differences.
    apart = (predicted[0] - states[1:]) / torch.cat([ensemble.statistics.qpos_std, ensemble.statistics.velocity_std])
    np.testing.assert_allclose(found.error[row], apart.square().mean(-1).sqrt(), rtol=1e-4)
    np.testing.assert_allclose(found.uncertainty[row, -1], spread.item(), rtol=1e-4)
    table = found.table()
    assert table["step"].tolist() == list(range(1, 9))
    assert table["coverage"].iloc[2] == (found.error[:, 2] <= COVERED * found.uncertainty[:, 2]).mean()
    assert table["error"].iloc[5] == np.median(found.error[:, 5])


def test_what_has_an_uncertainty_is_evaluated_with_it(
    held_out: Trajectories, ensemble: Ensemble, tmp_path: Path
) -> None:
    def evaluated(model, out: Path):
        return evaluate(model, TASK, held_out, out, dataset="d", horizons=(1, 8), starts=STARTS, seed=0)

    result = evaluated(ensemble, tmp_path / "ensemble")
    assert result.calibration is not None
    written = pd.read_csv(tmp_path / "ensemble" / "calibration.csv")
    pd.testing.assert_frame_equal(written, result.calibration.table())
    assert (tmp_path / "ensemble" / "calibration.png") in result.files
    gru = GRUConfig(parameters=500).build(TASK.facts, ensemble.statistics)
    assert measure_calibration(gru, held_out, 8, draw_starts(held_out, 8, STARTS, seed=0)) is None
    for model in (gru, Persistence(TASK.facts)):
        out = tmp_path / type(model).__name__
        assert evaluated(model, out).calibration is None
        assert not list(out.glob("calibration*"))
