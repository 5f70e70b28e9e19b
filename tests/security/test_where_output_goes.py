"""Output goes to regular files or new ones: no device is replaced, and no link is written through."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mosim.core.errors import MosimError
from mosim.core.files import atomic_folder, write_text
from mosim.core.storage import Folder
from mosim.data import collect


@pytest.fixture(scope="module")
def collected(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected") / "data"
    collect("reacher-easy", folder, episodes=2, steps=20, workers=1)
    return folder


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A node like /dev/full, which tests may lose."""
    path = tmp_path / "full"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("only root makes devices")
    return path


def test_a_device_is_not_replaced(
    collected: Path, device: Path, mosim: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    result = mosim("data", str(collected), "--json", str(device), cwd=tmp_path)
    assert stat.S_ISCHR(device.stat().st_mode), "the device node is gone"
    assert result.returncode == 2
    assert f"{device} cannot be written: it is a device" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: os.mkfifo(path), "a pipe"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: path.symlink_to(path.with_name("target")), "a symbolic link to .*target"),
        (lambda path: path.symlink_to("nowhere"), "a symbolic link to nowhere"),
    ],
)
def test_what_is_no_regular_file_stays_as_it_is(tmp_path: Path, make: Callable[[Path], None], kind: str) -> None:
    (tmp_path / "target").write_text("before")
    place = tmp_path / "place"
    make(place)
    kept = place.lstat()
    for write in (
        lambda: write_text(place, "after"),
        lambda: Folder.at(tmp_path).write("place", b"after"),
    ):
        with pytest.raises(MosimError, match=rf"place cannot be written: it is {kind}; give the path of"):
            write()
    assert place.lstat() == kept
    assert (tmp_path / "target").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "target"]


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("before")
    with pytest.raises(MosimError, match="kept cannot be written"), atomic_folder(tmp_path / "kept") as aside:
        (aside / "file").write_text("after")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "before"


@pytest.mark.parametrize("place", ["x" * 300, "kept/below", "a\0b"])
def test_a_place_that_cannot_be_is_told_in_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "kept").write_text("before")
    with pytest.raises(MosimError, match="cannot be written: "):
        write_text(tmp_path / place, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_longest_name_that_a_file_can_have_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    write_text(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("name", ["mosim.log", "tracking/journal.jsonl", ".lock", "tracking/.lock"])
def test_no_log_is_written_through_a_link_of_a_received_folder(
    mosim: Callable[..., subprocess.CompletedProcess[str]], collected: Path, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "bashrc"
    secret.write_text("# mine\n")
    link = tmp_path / "received" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    arguments = [
        "train",
        "reacher-easy",
        "--data",
        str(collected),
        "--out",
        str(tmp_path / "received"),
        "--minutes",
        "0.01",
    ]
    result = mosim(*arguments, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db", cwd=tmp_path)
    assert secret.read_text() == "# mine\n"
    assert result.returncode == 2
    assert "symbolic link" in " ".join(result.stderr.split())
