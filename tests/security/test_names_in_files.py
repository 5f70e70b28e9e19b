"""A file names no file outside its own folder, and does not decide what of it is verified."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosim.agents import PolicyFacts, load_policy
from mosim.agents.policy import Policy, save_policy
from mosim.cli.run_command import Options
from mosim.cli.task_options import parse_with_task
from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.files import inside, write_json
from mosim.core.state_folder import read_tree, write_tree
from mosim.core.storage import Folder
from mosim.data import Dataset, collect
from mosim.experiments.pipeline.whole_run import WholeRun
from mosim.experiments.tune.tune_state import COPY_FILE, mend_state
from mosim.tasks import load_task
from mosim.training import read_checkpoint

OUTSIDE = ["../outside", "/etc/passwd", "a/../../outside", "", ".", "a//b", "./a", "a/", "..", "a\0b", "~root/../../x"]


@pytest.fixture(scope="module")
def collected(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected") / "data"
    collect("reacher-easy", folder, episodes=2, steps=20, workers=1)
    return folder


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    facts = PolicyFacts(task="reacher-easy", observation_size=6, action_size=2, hidden=(4,), clip=10.0, action_repeat=1)
    save_policy(Policy(facts), tmp_path / "policy")
    return tmp_path / "policy"


@pytest.mark.parametrize("name", OUTSIDE)
def test_only_plain_relative_names_are_inside(tmp_path: Path, name: str) -> None:
    for read in (lambda: inside(tmp_path, name), lambda: Folder.at(tmp_path).read(name)):
        with pytest.raises(DamagedFileError, match="names"):
            read()
    with pytest.raises(DamagedFileError, match="names"):
        Folder.at(tmp_path / "below").write(name, b"content")
    assert not any(tmp_path.iterdir())


@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "b c", "...", "ü"]), min_size=1, max_size=5))
def test_a_name_that_is_taken_never_leads_out(parts: list[str]) -> None:
    folder = Path("/some/folder")
    try:
        path = inside(folder, "/".join(parts))
    except DamagedFileError:
        return
    assert folder in path.parents
    assert ".." not in path.parts


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to("../secret")
    (folder / "above").symlink_to("..")
    (folder / "kept").write_text("kept")
    (folder / "alias").symlink_to("kept")
    for name in ("link", "above/secret"):
        with pytest.raises(DamagedFileError, match="outside"):
            inside(folder, name)
    assert inside(folder, "alias").read_text() == "kept"


def test_a_shard_outside_the_dataset_is_not_read(collected: Path, tmp_path: Path) -> None:
    received = Path(shutil.copytree(collected, tmp_path / "data"))
    metadata = json.loads((received / "metadata.json").read_text())
    (received / metadata["shards"][0]["name"]).rename(tmp_path / "outside.parquet")
    metadata["shards"][0]["name"] = "../outside.parquet"
    (received / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(DamagedFileError, match=r"'\.\./outside\.parquet'"):
        Dataset.open(received).load()


def test_a_policy_is_verified_whatever_its_checksums_name(policy: Path) -> None:
    weights = bytearray((policy / "policy.safetensors").read_bytes())
    weights[-1] ^= 1
    (policy / "policy.safetensors").write_bytes(weights)
    for checksums in ("{}", '{"/dev/null": ""}', "[]", "null", '{"policy.safetensors": 3}'):
        (policy / "checksums.json").write_text(checksums)
        with pytest.raises(DamagedFileError, match=r"checksum|damaged"):
            load_policy(policy)


def test_a_training_s_state_is_verified_whatever_its_checksums_name(tmp_path: Path) -> None:
    write_tree(tmp_path, {"weights": np.ones(3)})
    (tmp_path / "tree.json").write_text(json.dumps({"value": "another"}))
    (tmp_path / "checksums.json").write_text("{}")
    with pytest.raises(DamagedFileError, match=r"tree\.json|arrays\.safetensors"):
        read_tree(tmp_path)


def test_a_checkpoint_is_verified_whatever_its_checksums_name(simulator: Path, tmp_path: Path) -> None:
    received = Path(shutil.copytree(simulator, tmp_path / "checkpoint"))
    (received / "training.safetensors").write_bytes(b"something else")
    manifest = json.loads((received / "checkpoint.json").read_text())
    del manifest["sha256"]["training.safetensors"]
    (received / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedFileError, match=r"training\.safetensors"):
        read_checkpoint(received)


def test_the_copy_of_a_sweep_s_state_writes_into_its_folder_alone(tmp_path: Path) -> None:
    storage = tmp_path / "sweep"
    (storage / "tune").mkdir(parents=True)
    (storage / "tune" / "experiment_state-1.json").write_text("{")  # Cut short, so that the copy is taken.
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../../outside.json", "{}")
    (storage / COPY_FILE).write_bytes(content.getvalue())
    with pytest.raises(MosimError, match="outside"):
        mend_state(str(storage))
    assert not (tmp_path / "outside.json").exists()


def test_a_run_s_record_names_its_own_checkpoint(simulator: Path, tmp_path: Path) -> None:
    arguments = ["reacher-easy", "--out", str(tmp_path / "out"), "--tracking-uri", "off"]
    task = load_task("reacher-easy")
    options = parse_with_task(Options, "run", [*arguments, "--resume"])
    run = WholeRun(options, task)
    phases = {"collect": {"dataset": "", "seconds": 0.0}, "evaluate": {}, "policies": {}}
    phases |= {"train": {"checkpoint": str(simulator), "seconds": 0.0}}
    write_json(tmp_path / "out" / "phases.json", phases)
    write_json(tmp_path / "out" / "run.json", options.identity)
    with pytest.raises(DamagedFileError, match=f"names the file '{simulator}'"):
        run.run()
