import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from pendulum_run import RECIPE, make_trainer, trajectories

import mosim
from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.files import sha256
from mosim.training import StageConfig, find_checkpoint, load_simulator, read_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    stage = StageConfig(name="short", learns=("predictor", "corrector/0"), steps=5, batch_size=16)
    make_trainer(out, RECIPE.model_copy(update={"stages": (stage,)})).run(lambda report: None)
    return out


def test_a_loaded_simulator_predicts_as_the_trained_one(run: Path, tmp_path: Path) -> None:
    stage = StageConfig(name="short", learns=("predictor", "corrector/0"), steps=5, batch_size=16)
    trainer = make_trainer(tmp_path, RECIPE.model_copy(update={"stages": (stage,)}))
    trainer.run(lambda report: None)
    state = torch.tensor(trajectories().states[:4], dtype=torch.float32)
    actions = torch.zeros(4, 7, 1)
    loaded = mosim.load(run)
    assert torch.equal(loaded.rollout(state, actions), trainer.model.rollout(state, actions))
    assert not any(weight.requires_grad for weight in loaded.parameters())


def test_any_of_its_folders_names_a_checkpoint(run: Path) -> None:
    path = find_checkpoint(run)
    assert path.parent == run / "checkpoints"
    assert find_checkpoint(path) == path


def test_no_checkpoint_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="there is no checkpoint in"):
        load_simulator(tmp_path)


@pytest.mark.parametrize("name", ["weights.safetensors", "training.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_named(run: Path, tmp_path: Path, name: str, damage: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(find_checkpoint(run), copy)
    content = bytearray((copy / name).read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        (copy / name).write_bytes(content)
    elif damage == "cut":
        (copy / name).write_bytes(content[:-10])
    else:
        (copy / name).unlink()
    with pytest.raises(DamagedFileError, match=name):
        load_simulator(copy)


def test_a_damaged_manifest_is_named(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(find_checkpoint(run), copy)
    manifest = copy / "checkpoint.json"
    text = manifest.read_text()
    manifest.write_text(text[: len(text) // 2])
    with pytest.raises(DamagedFileError, match=r"checkpoint\.json is damaged"):
        read_checkpoint(copy)
    values = json.loads(text)
    del values["facts"]
    manifest.write_text(json.dumps(values))
    with pytest.raises(DamagedFileError, match="facts"):
        read_checkpoint(copy)


def test_loading_never_unpickles(run: Path, tmp_path: Path) -> None:
    """A pickle in place of the weights is refused, not run."""

    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "diverged",))

    copy = tmp_path / "copy"
    shutil.copytree(find_checkpoint(run), copy)
    (copy / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    manifest = json.loads((copy / "checkpoint.json").read_text())
    manifest["sha256"]["weights.safetensors"] = sha256(copy / "weights.safetensors")
    (copy / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedFileError, match=r"weights\.safetensors is damaged"):
        load_simulator(copy)
    assert not (tmp_path / "diverged").exists()
