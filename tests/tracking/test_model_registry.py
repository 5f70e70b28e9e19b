import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import mosim
from mosim.core.errors import MosimError
from mosim.models import NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.pyfunc import action_names, save_model
from mosim.tasks import load_task
from mosim.tracking import Tracker, sync
from mosim.training.checkpoint import save_checkpoint

NAME = "mosim-reacher-easy"
SMALL = NetworkConfig(width=8, depth=1)

PREDICTOR = """
import sys
import numpy as np
from mlflow import pyfunc

np.save(sys.argv[2], pyfunc.load_model(sys.argv[1]).predict(np.load(sys.argv[2])))
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[int], Path]:
    """Makes the checkpoint of a seed."""
    facts = load_task("reacher-easy").facts

    def make(seed: int = 0) -> Path:
        torch.manual_seed(seed)
        model = NeuralSimulator(facts, NeuralSimulatorConfig(inertia=SMALL, bias=SMALL), Statistics.neutral(facts))
        arguments = {"system": "reacher-easy", "recipe": {}, "dataset_id": "abc", "cursor": {}}
        return save_checkpoint(tmp_path / "checkpoints", f"step-{seed}", model, {}, **arguments)

    return make


def say(output: Path, uri: str, checkpoint: Path, name: str = NAME, tags: dict[str, object] | None = None) -> None:
    """A run that registers a model, as it does again when it is resumed."""
    folder = save_model(checkpoint, output / "models" / checkpoint.name)
    with Tracker.open(output, "reacher", uri) as tracker:
        tracker.run("train").register_model(folder, name, tags, "made by a test")


def versions(uri: str, name: str = NAME) -> dict[int, ModelVersion]:
    return {int(version.version): version for version in MlflowClient(uri).search_model_versions(f"name = '{name}'")}


def rows() -> np.ndarray:
    return 0.3 * np.random.default_rng(0).normal(size=(5, 6))


def rolled_out(checkpoint: Path) -> np.ndarray:
    """What the simulator of a checkpoint says of `rows`."""
    tensor = torch.tensor(rows(), dtype=torch.float32)
    return mosim.load(checkpoint).rollout(tensor[:1, :4][0], tensor[:, 4:]).numpy()


def predicted(uri: str, version: int, monkeypatch: pytest.MonkeyPatch, name: str = NAME) -> np.ndarray:
    """What the version of a registered model says of `rows`, as a frame."""
    from mlflow import pyfunc

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    facts = load_task("reacher-easy").facts
    frame = pd.DataFrame(rows(), columns=[*facts.state_names, *action_names(facts)])
    return pyfunc.load_model(f"models:/{name}/{version}").predict(frame).to_numpy()


def test_another_process_predicts_with_a_registered_model(tmp_path: Path, store: str, checkpoint) -> None:
    say(tmp_path / "out", store, checkpoint(), tags={"horizon_mse/16": 0.25})
    (version,) = versions(store).values()
    (run,) = MlflowClient(store).search_runs(["1"])
    assert version.run_id == run.info.run_id
    assert version.status == "READY"
    assert version.description == "made by a test"
    expected = {"system": "reacher", "task": "reacher-easy", "dataset_id": "abc", "horizon_mse/16": "0.25"}
    assert expected.items() <= version.tags.items()
    shutil.rmtree(tmp_path / "out")
    file = tmp_path / "rows.npy"
    np.save(file, rows())
    command = [sys.executable, "-c", PREDICTOR, f"models:/{NAME}/1", str(file)]
    subprocess.run(command, check=True, cwd=tmp_path, env=os.environ | {"MLFLOW_TRACKING_URI": store})
    np.testing.assert_array_equal(np.load(file), rolled_out(checkpoint()))


def test_a_resumed_run_has_one_version_and_a_better_model_is_the_next(
    tmp_path: Path, store: str, checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (0.3, 0.2):
        say(tmp_path / "out", store, checkpoint(0), tags={"horizon": error})
        assert versions(store).keys() == {1}
        assert versions(store)[1].tags["horizon"] == str(error)
    # A resumed sweep copies its best checkpoint out again.
    shutil.rmtree(tmp_path / "out" / "models")
    say(tmp_path / "out", store, checkpoint(0))
    assert versions(store).keys() == {1}
    for _ in range(2):
        say(tmp_path / "out", store, checkpoint(1))
        assert versions(store).keys() == {1, 2}
    for version in (1, 2):
        answer = predicted(store, version, monkeypatch)
        np.testing.assert_array_equal(answer, rolled_out(checkpoint(version - 1)))


def test_two_runs_have_a_version_each(tmp_path: Path, store: str, checkpoint) -> None:
    for output in ("one", "two"):
        say(tmp_path / output, store, checkpoint())
    first, second = versions(store).values()
    assert first.run_id != second.run_id


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_gets_one_version(
    tmp_path: Path, server, checkpoint, eventually, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    output = tmp_path / "out"
    folders = [save_model(checkpoint(seed), output / "models" / str(seed)) for seed in (0, 1)]
    server.start()
    tracker = Tracker.open(output, "reacher", server.uri)
    run = tracker.run("train")
    run.register_model(folders[0], NAME)
    eventually(lambda: versions(server.uri), 60)
    server.kill()
    run.register_model(folders[1], NAME)
    run.register_model(folders[0], NAME)
    tracker.close()
    assert f"mosim sync {output}" in capsys.readouterr().out
    server.start()
    assert sync(output, server.uri) > 0
    for cursor in output.glob("tracking/cursor-*.json"):
        cursor.unlink()  # As a kill before it was written leaves it.
    sync(output, server.uri)
    found = versions(server.uri)
    assert found.keys() == {1, 2}
    assert all(str(version.source).startswith("mlflow-artifacts:/") for version in found.values())
    answer = predicted(server.uri, 2, monkeypatch)
    np.testing.assert_array_equal(answer, rolled_out(checkpoint(1)))


def test_no_version_is_made_before_its_files_are_there(
    tmp_path: Path, store: str, checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "store" / "mlartifacts"
    blocked.write_text("a file where the artifacts' folder should be")
    say(tmp_path / "out", store, checkpoint())
    assert "1 events could not be sent" in capsys.readouterr().out
    assert not versions(store)
    blocked.unlink()
    assert sync((tmp_path / "out").rename(tmp_path / "moved"), store) == 1
    (version,) = versions(store).values()
    assert (Path(str(version.source).removeprefix("file://")) / "MLmodel").is_file()


def test_a_store_that_lost_everything_gets_the_version_again(
    tmp_path: Path, store: str, empty_database: Path, checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tmp_path / "out", store, checkpoint())
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database, database:
        for table in ("tags", "runs", "model_version_tags", "model_versions", "registered_models"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
    say(tmp_path / "out", store, checkpoint())
    assert versions(store).keys() == {1}
    np.testing.assert_array_equal(predicted(store, 1, monkeypatch), rolled_out(checkpoint()))


def test_what_mlflow_refuses_in_a_name_is_encoded(tmp_path: Path, store: str, checkpoint) -> None:
    say(tmp_path / "out", store, checkpoint(), name="mosim/reacher:easy [3]'s")
    assert versions(store, "mosim%2Freacher%3Aeasy [3]%27s").keys() == {1}


def test_a_model_that_is_gone_holds_up_nothing(
    tmp_path: Path, store: str, server, checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out"
    say(output, server.uri, checkpoint(0))
    say(output, server.uri, checkpoint(1))
    shutil.rmtree(output / "models" / "step-0")
    # In its place lies another now, which must not pass for the one that was said.
    shutil.copytree(output / "models" / "step-1", output / "models" / "step-0")
    sync(output, store)
    assert "step-0 of run train no longer exists and is not sent" in caplog.text
    (version,) = versions(store).values()
    assert str(version.source).endswith(version.tags["mosim.model_uuid"])


def test_what_is_no_model_folder_is_refused(tmp_path: Path) -> None:
    tracker = Tracker.open(tmp_path / "out", "reacher", "off")
    with pytest.raises(MosimError, match="MLmodel cannot be read"):
        tracker.run("run").register_model(tmp_path, NAME)
