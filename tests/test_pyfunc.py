import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from mlflow import pyfunc

import mosim
from mosim.core.errors import DamagedFileError, MosimError
from mosim.models import CorrectorConfig, NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.pyfunc import action_names, save_model
from mosim.tasks import load_task
from mosim.tracking import read_model_folder
from mosim.training.checkpoint import save_checkpoint

SMALL = NetworkConfig(width=8, depth=1)
CONFIG = NeuralSimulatorConfig(inertia=SMALL, bias=SMALL, correctors=(CorrectorConfig(network=SMALL),))

BATCHED = 1e-5
"""float32 products of a batch are summed in another order than those of a row."""


def save_random_simulator(folder: Path, task: str, seed: int) -> Path:
    torch.manual_seed(seed)
    facts = load_task(task).facts
    model = NeuralSimulator(facts, CONFIG, Statistics.neutral(facts))
    return save_checkpoint(folder, "step-1", model, {}, system=task, recipe={}, dataset_id="abc", cursor={})


@pytest.fixture(scope="module", params=["reacher-easy", "hopper-hop"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_simulator(tmp_path_factory.mktemp(request.param), request.param, 0)


@pytest.fixture(scope="module")
def model_folder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(checkpoint, tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> pyfunc.PyFuncModel:
    return pyfunc.load_model(str(model_folder))


def columns_of(checkpoint: Path) -> list[str]:
    facts = mosim.load(checkpoint).facts
    return [*facts.state_names, *action_names(facts)]


def random_rows(checkpoint: Path, *shape: int) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).normal(size=(*shape, len(columns_of(checkpoint))))


def rolled_out(checkpoint: Path, rows: np.ndarray) -> np.ndarray:
    """What the simulator itself says of an array of rows."""
    simulator = mosim.load(checkpoint)
    tensor = torch.tensor(rows, dtype=torch.float32)
    size = simulator.facts.state_size
    return simulator.rollout(tensor[..., 0, :size], tensor[..., size:]).numpy()


def test_an_array_is_answered_by_the_simulator_s_own_rollout(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    rows = random_rows(checkpoint, 3, 7)
    states = loaded.predict(rows)
    assert states.dtype == np.float32
    np.testing.assert_array_equal(states, rolled_out(checkpoint, rows))
    alone = loaded.predict(rows[0])
    assert alone.shape == states[0].shape
    np.testing.assert_array_equal(alone, rolled_out(checkpoint, rows[:1])[0])


def test_a_frame_is_answered_row_by_row(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    columns, rows = columns_of(checkpoint), random_rows(checkpoint, 9)
    frame = pd.DataFrame(rows, index=pd.RangeIndex(100, 109), columns=columns)
    states = mosim.load(checkpoint).facts.state_names
    frame.loc[101:, list(states)] = np.nan  # As where only the start is known.
    answer = loaded.predict(frame[columns[::-1]])
    assert tuple(answer.columns) == states
    assert answer.index.equals(frame.index)
    np.testing.assert_array_equal(answer.to_numpy(), rolled_out(checkpoint, rows[None])[0])


def test_episodes_are_kept_apart(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    columns, lengths = columns_of(checkpoint), {7: 5, 3: 9, 4: 1}
    rows = random_rows(checkpoint, sum(lengths.values()))
    frame = pd.DataFrame(rows, columns=columns)
    frame["episode"] = np.repeat(list(lengths), list(lengths.values()))
    answer = loaded.predict(frame)
    assert answer["episode"].equals(frame["episode"])
    states = answer.drop(columns="episode")
    for episode in lengths:
        own = (frame["episode"] == episode).to_numpy()
        np.testing.assert_allclose(
            states[own].to_numpy(), rolled_out(checkpoint, rows[own][None])[0], rtol=BATCHED, atol=BATCHED
        )
    # By the time rather than by the episode: as a logger of several robots at once would write them.
    mixed = frame.assign(step=frame.groupby("episode").cumcount()).sort_values(["step", "episode"]).drop(columns="step")
    pd.testing.assert_frame_equal(loaded.predict(mixed).sort_index(), answer, rtol=BATCHED, atol=BATCHED)


def test_equal_episodes_are_a_batch(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    rows = random_rows(checkpoint, 4, 6)
    frame = pd.DataFrame(rows.reshape(24, -1), columns=columns_of(checkpoint))
    frame["episode"] = np.repeat(np.arange(4), 6)
    answer = loaded.predict(frame).drop(columns="episode").to_numpy()
    np.testing.assert_array_equal(answer.reshape(4, 6, -1), rolled_out(checkpoint, rows))


def test_wrong_columns_are_named(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    columns = columns_of(checkpoint)
    frame = pd.DataFrame(random_rows(checkpoint, 2), columns=columns)
    wrong = frame.rename(columns={"action_0": "torque"})
    with pytest.raises(MosimError, match=f"'action_0' is missing, 'torque' is unknown; required are {columns[0]}, "):
        loaded.predict(wrong)
    with pytest.raises(MosimError, match="'action_0' is given twice"):
        loaded.predict(pd.concat([frame, frame[["action_0"]]], axis="columns"))
    with pytest.raises(MosimError, match="the frame is empty"):
        loaded.predict(frame[:0])
    with pytest.raises(MosimError, match="'episode' must hold an integer in every row; its type is float64"):
        loaded.predict(frame.assign(episode=[0.0, 1.5]))
    with pytest.raises(MosimError, match="an integer in every row; its type is Int64"):
        loaded.predict(frame.assign(episode=pd.array([0, None], "Int64")))
    with pytest.raises(MosimError, match="must be numbers"):
        loaded.predict(frame.assign(action_0="much"))


def test_values_that_are_not_finite_are_named(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    columns = columns_of(checkpoint)
    frame = pd.DataFrame(random_rows(checkpoint, 6), columns=columns).assign(episode=[8, 8, 8, 9, 9, 9])
    frame.loc[4, "action_0"] = np.inf
    with pytest.raises(MosimError, match="'action_0' is not finite in step 1 of episode 9"):
        loaded.predict(frame)
    rows = random_rows(checkpoint, 2, 3)
    rows[1, 0, 0] = np.nan
    with pytest.raises(MosimError, match=f"'{columns[0]}' is not finite in step 0 of episode 1"):
        loaded.predict(rows)


@pytest.mark.parametrize("shape", [(5, 3), (0,), (2, 2, 2, 2)])
def test_a_wrong_shape_is_named(loaded: pyfunc.PyFuncModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(MosimError, match=r"the array has shape .*; allowed are \(steps, \d+\) and \(batch, steps, "):
        loaded.predict(np.zeros(shape))


def test_an_array_without_steps_or_numbers_is_refused(checkpoint: Path, loaded: pyfunc.PyFuncModel) -> None:
    width = len(columns_of(checkpoint))
    with pytest.raises(MosimError, match="with at least one step"):
        loaded.predict(np.zeros((2, 0, width)))
    with pytest.raises(MosimError, match="must hold numbers"):
        loaded.predict(np.full((2, width), "much"))
    with pytest.raises(MosimError, match="must be a pandas DataFrame or an array, not a dict"):
        loaded.predict({"action_0": np.zeros(2)})


def test_the_folder_says_what_it_holds(checkpoint: Path, model_folder: Path, loaded: pyfunc.PyFuncModel) -> None:
    facts = mosim.load(checkpoint).facts
    task = load_task("reacher-easy" if facts.name == "reacher" else "hopper-hop")
    assert loaded.metadata.metadata == {
        "system": facts.name,
        "task": task.name,
        "dataset_id": "abc",
        "knowledge": "geometry",
    }
    outputs = loaded.metadata.get_output_schema()
    assert outputs is not None
    assert outputs.input_names() == ["episode", *facts.state_names]
    example = loaded.input_example
    assert isinstance(example, pd.DataFrame)
    assert list(loaded.predict(example).columns) == outputs.input_names()
    assert f"mosim=={mosim.__version__}" in (model_folder / "requirements.txt").read_text().splitlines()
    assert not [file for file in model_folder.rglob("*") if file.suffix in (".pkl", ".pickle", ".pt", ".py")]


def test_saving_again_changes_nothing(checkpoint: Path, model_folder: Path, tmp_path: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in model_folder.rglob("*")}
    assert save_model(checkpoint, model_folder) == model_folder
    assert {file: file.stat().st_mtime_ns for file in model_folder.rglob("*")} == before


def test_a_copied_checkpoint_is_the_same_model(checkpoint: Path, model_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "best")
    assert read_model_folder(save_model(copy, tmp_path / "model")) == read_model_folder(model_folder)


def test_a_folder_of_another_model_is_left_alone(model_folder: Path, tmp_path: Path) -> None:
    other = save_random_simulator(tmp_path, "pendulum-swingup", 1)
    with pytest.raises(MosimError, match="already holds another model"):
        save_model(other, model_folder)
    with pytest.raises(MosimError, match="MLmodel cannot be read"):
        save_model(other, tmp_path)


def test_a_damaged_model_is_not_loaded(checkpoint: Path, tmp_path: Path) -> None:
    folder = save_model(checkpoint, tmp_path / "model")
    data = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]["data"]
    weights = folder / data / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(DamagedFileError, match=r"weights\.safetensors is damaged"):
        pyfunc.load_model(str(folder))


def test_the_import_does_not_wait_for_mlflow() -> None:
    check = "import mosim.pyfunc, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
