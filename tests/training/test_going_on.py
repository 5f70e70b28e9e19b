"""Training that goes on from another run's checkpoint, a report at a time, or in several processes at once."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pendulum_run import trajectories
from replica_run import make_replica, shortened

from mosim.core.errors import MismatchError, MosimError
from mosim.models import NetworkConfig
from mosim.training import OptimizerName, Recipe, Replicas, Trainer, TrainingData, find_checkpoint, load_simulator
from neural_config import neural

SHORT = shortened()
PREDICTOR_ALONE = SHORT.model_copy(
    update={"model": SHORT.model.model_copy(update={"correctors": ()}), "stages": SHORT.stages[:1]}
)


def trainer(out: Path, recipe: Recipe, start: Path | None = None, dataset_id: str = "test") -> Trainer:
    data = TrainingData.of(trajectories(), dataset_id)
    return Trainer(system="pendulum-swingup", recipe=recipe, data=data, out=out, start=start)


def trained(out: Path, recipe: Recipe, start: Path | None = None) -> Path:
    return trainer(out, recipe, start).run(lambda report: None)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("predictor"), PREDICTOR_ALONE)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("unbroken"), SHORT)


def test_correctors_on_a_predictor_that_was_trained_alone_become_what_they_are_in_one_run(
    predictor: Path, unbroken: Path, tmp_path: Path
) -> None:
    going_on = load_simulator(trained(tmp_path, SHORT, start=predictor)).state_dict()
    expected = load_simulator(unbroken).state_dict()
    assert going_on.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(going_on[name], weight), name


def test_a_start_within_a_stage_keeps_the_moments_under_another_learning_rate(unbroken: Path, tmp_path: Path) -> None:
    first = trainer(tmp_path / "first", SHORT)
    next(first.reports())
    faster = SHORT.stages[0].model_copy(update={"learning_rate": 2 * SHORT.stages[0].learning_rate})
    changed = SHORT.model_copy(update={"stages": (faster, *SHORT.stages[1:])})
    second = trainer(tmp_path / "second", changed, start=first.save())
    assert second.seconds == first.seconds
    assert second.samples == first.samples == 100 * SHORT.stages[0].batch_size
    report = next(second.reports())
    assert report.step == 120
    assert report.progress == 1.0
    # What it took over is written down again, even before a step is made.
    again = trainer(tmp_path / "third", changed, start=trainer(tmp_path / "idle", SHORT, start=first.save()).save())
    assert next(again.reports()).loss == report.loss


def test_a_start_of_another_model_or_dataset_is_refused(predictor: Path, tmp_path: Path) -> None:
    wider = SHORT.model.model_copy(update={"bias": NetworkConfig(width=24, depth=1)})
    with pytest.raises(MismatchError, match="weights of a different model"):
        trainer(tmp_path, SHORT.model_copy(update={"model": wider}), start=predictor)
    with pytest.raises(MismatchError, match="the dataset is other instead of test"):
        trainer(tmp_path, SHORT, start=predictor, dataset_id="other")


def test_horizon_errors_grow_from_the_steps_own_to_as_far_as_the_episodes_go(unbroken: Path, tmp_path: Path) -> None:
    whole = trainer(tmp_path, SHORT, start=unbroken)
    errors = whole.horizon_errors([1, 16, 100, 500])
    longest = int(trajectories().lengths[-1])
    assert 0 < errors[1] < errors[16] < errors[100]
    assert errors[500] == whole.horizon_errors([longest])[longest]


@pytest.mark.parametrize(("optimizer", "steps"), [("adam", 120), ("soap", 1)])
def test_replicas_train_what_one_would_have_trained(optimizer: OptimizerName, steps: int, tmp_path: Path) -> None:
    together, alone = tmp_path / "together", trained(tmp_path / "alone", shortened(steps, optimizer))
    script, store = Path(__file__).with_name("replica_run.py"), tmp_path / "store"
    command = [sys.executable, str(script), str(together), str(store)]
    processes = [subprocess.Popen([*command, str(rank), "2", str(steps), optimizer]) for rank in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert find_checkpoint(together).name == alone.name
    one, two = (load_simulator(path).state_dict() for path in (alone, together))
    assert max(float((two[name] - weight).abs().max()) for name, weight in one.items()) < 1e-5


def test_parts_of_replicas_make_the_whole_batch() -> None:
    for count in (1, 2, 3, 7):
        parts = [Replicas(rank, count).part(64) for rank in range(count)]
        assert [row for part in parts for row in range(64)[part]] == list(range(64))


def test_more_replicas_than_windows_in_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="batch_size 32, which is too small for 33 workers"):
        make_replica(tmp_path, Replicas(0, 33), SHORT)


def test_correctors_of_another_shape_start_from_a_predictor_that_had_correctors_beside_it(tmp_path: Path) -> None:
    first = trainer(tmp_path / "first", SHORT)
    assert [report.validation is None for report in itertools.islice(first.reports(), 2)] == [True, False]
    other = neural(SHORT.model).correctors[0].model_copy(update={"network": NetworkConfig(width=8, depth=0)})
    model = SHORT.model.model_copy(update={"correctors": (other,)})
    narrower = SHORT.model_copy(update={"model": model, "stages": SHORT.stages[:2]})
    going_on = load_simulator(trained(tmp_path / "second", narrower, start=first.save())).state_dict()
    expected = load_simulator(trained(tmp_path / "unbroken", narrower)).state_dict()
    assert all(torch.equal(going_on[name], weight) for name, weight in expected.items())
