"""Predictions that others made: what they begin with, and that they are measured as a model of ours is."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mosim.core.errors import MismatchError, MosimError
from mosim.data import Dataset, collect
from mosim.evaluation import measure_horizons, measure_predictions, write_starts
from mosim.models import GRUConfig, Statistics
from mosim.tasks import load_task

HORIZONS, STARTS, STEPS = (1, 4, 30), 12, 40


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, ray_of_two: None) -> Dataset:
    return collect("pendulum-swingup", tmp_path_factory.mktemp("held-out"), 3, STEPS, workers=1, seed=7)


@pytest.fixture(scope="module")
def starts(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("starts") / "starts.npz"
    assert write_starts(path, dataset, HORIZONS, STARTS, 0) == {4: STARTS, 30: STARTS}
    return path


def predicted(starts: Path, out: Path, **changes: Any) -> Path:
    """What somebody else would write: here a GRU that is stepped by hand, start by start."""
    facts = load_task("pendulum-swingup").facts
    torch.manual_seed(0)
    model = GRUConfig(width=6, history=8).build(facts, Statistics.neutral(facts))
    content: dict[str, Any] = {}
    with np.load(starts) as file:
        content["dataset"] = file["dataset"]
        for horizon in (4, 30):
            states = []
            for row in range(STARTS):
                known = file[f"known_{horizon}"][row]
                seen = ~np.isnan(known).any(axis=1)
                assert seen[-1]
                between = file[f"between_{horizon}"][row][seen[:-1]]
                assert len(between) == seen.sum() - 1
                assert not np.isnan(between).any()
                last = torch.from_numpy(known[seen][None, -8:]).float()
                moves = torch.from_numpy(between[None]).float()[:, max(0, len(between) - 7) :]
                actions = torch.from_numpy(file[f"actions_{horizon}"][row : row + 1]).float()
                with torch.no_grad():
                    states.append(model.predict(last, moves, actions)[0].double().numpy())
            content[f"states_{horizon}"] = np.stack(states)
    np.savez(out, **content | changes)
    return out


def test_predictions_are_measured_as_the_same_model_is_here(dataset: Dataset, starts: Path, tmp_path: Path) -> None:
    facts = load_task("pendulum-swingup").facts
    torch.manual_seed(0)
    model = GRUConfig(width=6, history=8).build(facts, Statistics.neutral(facts))
    expected = measure_horizons(model, dataset.load(), horizons=HORIZONS, starts=STARTS, seed=0)
    found = measure_predictions(predicted(starts, tmp_path / "p.npz"), dataset, HORIZONS, STARTS, 0)
    assert found.keys() == expected.keys()
    for horizon in HORIZONS:
        assert found[horizon].mse(horizon) == pytest.approx(expected[horizon].mse(horizon), rel=1e-5)
        assert found[horizon].mse_median(horizon) == pytest.approx(expected[horizon].mse_median(horizon), rel=1e-5)


def test_a_prediction_that_is_not_finite_is_infinitely_wrong(dataset: Dataset, starts: Path, tmp_path: Path) -> None:
    states = np.zeros((STARTS, 30, 2))
    states[3, 10] = np.nan
    found = measure_predictions(predicted(starts, tmp_path / "p.npz", states_30=states), dataset, HORIZONS, STARTS, 0)
    assert found[30].mse(30) == np.inf
    assert found[30].diverged_within(30) == 1
    assert np.isfinite(found[4].mse(4))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"states_30": np.zeros((STARTS, 29, 2))},
            r"states_30 has shape \(12, 29, 2\) .* must have shape \(12, 30, 2\)",
        ),
        ({"states_4": np.zeros((STARTS, 4, 2), int)}, "states_4 has shape .* type int64; .* be floating point"),
        ({"states_4": np.array([{}], dtype=object)}, r"not an \.npz file of plain arrays"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    dataset: Dataset, starts: Path, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(MosimError, match=sentence):
        measure_predictions(predicted(starts, tmp_path / "p.npz", **changes), dataset, HORIZONS, STARTS, 0)


def test_another_dataset_or_no_archive_is_refused(dataset: Dataset, starts: Path, tmp_path: Path) -> None:
    other = predicted(starts, tmp_path / "p.npz", dataset=np.array("0123"))
    with pytest.raises(MismatchError, match="predictions for the dataset 0123, and this one is"):
        measure_predictions(other, dataset, HORIZONS, STARTS, 0)
    np.savez(tmp_path / "some.npz", dataset=dataset.id)
    with pytest.raises(MosimError, match="lacks the array states_4; it must have dataset, states_4, states_30"):
        measure_predictions(tmp_path / "some.npz", dataset, HORIZONS, STARTS, 0)
    (tmp_path / "text.npz").write_text("states")
    with pytest.raises(MosimError, match=r"is not an \.npz file of plain arrays"):
        measure_predictions(tmp_path / "text.npz", dataset, HORIZONS, STARTS, 0)

    class Harmful:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(MosimError, match=r"is not an \.npz file of plain arrays"):
        measure_predictions(tmp_path / "pickle.npz", dataset, HORIZONS, STARTS, 0)
    assert not (tmp_path / "ran").exists()
