"""A journal that somebody else wrote sends files of its own folder alone, and only where the user says."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mosim.core.errors import MosimError
from mosim.tracking import Tracker, sync

EXPERIMENT = "received"


class Listener:
    """Stands where a server would, and notes who calls."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.calls = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir()
    return f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"


def receive(folder: Path, uri: str, *events: dict[str, Any]) -> Path:
    """A folder with a journal as mosim writes it."""
    (folder / "tracking").mkdir(parents=True)
    started = {"kind": "run", "run": "run", "time": 1, "name": "run", "parent": None, "tags": {}}
    lines = [{"kind": "journal", "id": "0" * 32}, started]
    lines += [{"run": "run", "time": 1, **event} for event in events]
    (folder / "tracking" / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    destination = {"tracking_uri": uri, "experiment": EXPERIMENT}
    (folder / "tracking" / "destination.json").write_text(json.dumps(destination))
    return folder


def artifact(path: str) -> dict[str, Any]:
    return {"kind": "artifact", "path": path, "artifact_path": ""}


def run_of(uri: str) -> Run:
    client = MlflowClient(uri)
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return run


def sent(uri: str) -> set[str]:
    """The names of all files that a store has been sent."""
    return {path.name for path in Path(uri.removeprefix("sqlite:///")).parent.rglob("mlartifacts/**/*")}


@pytest.mark.parametrize("name", ["absolute", "above", "link", "folder-with-link", "folder-through-link", "model"])
def test_no_file_outside_the_folder_is_sent(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "id_rsa").write_text("private")
    (secrets / "MLmodel").write_text("model_uuid: 'abc'\n")
    model = {"kind": "model_version", "path": str(secrets), "model_uuid": "abc", "name": "m"}
    event = {
        "absolute": artifact(str(secrets / "id_rsa")),
        "above": artifact("../secrets/id_rsa"),
        "link": artifact("link"),
        "folder-with-link": artifact("plots"),
        "folder-through-link": artifact("through"),
        "model": model | {"tags": {}, "description": ""},
    }[name]
    folder = receive(tmp_path / "received", store, event, artifact("mine.txt"))
    (folder / "mine.txt").write_text("mine")
    (folder / "link").symlink_to(secrets / "id_rsa")
    (folder / "through").symlink_to(secrets)
    (folder / "plots").mkdir()
    (folder / "plots" / "id_rsa").symlink_to("../../secrets/id_rsa")
    sync(folder, store)
    assert not {"id_rsa", "MLmodel"} & sent(store)
    assert "mine.txt" in sent(store)
    assert "is not sent" in " ".join(capsys.readouterr().out.split())


def test_a_received_folder_calls_no_server_by_itself(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = receive(tmp_path / "received", listener.uri, {"kind": "tags", "values": {"a": "b"}})
    with pytest.raises(MosimError) as refused:
        sync(folder)
    assert listener.calls == 0
    assert f"--tracking-uri {listener.uri}" in str(refused.value)
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MosimError, match="does not accept events"):
        sync(folder, listener.uri)
    assert listener.calls > 0


def test_no_database_that_a_received_folder_names_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = receive(tmp_path / "received", f"sqlite:///{tmp_path}/elsewhere/new.db")
    with pytest.raises(MosimError, match=r"--tracking-uri sqlite:///.*new\.db"):
        sync(folder)
    assert not (tmp_path / "elsewhere").exists()


def test_the_destination_of_the_environment_needs_no_flag(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = receive(tmp_path / "out", store, {"kind": "tags", "values": {"a": "b"}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert sync(folder) == 3
    assert run_of(store).data.tags["a"] == "b"


def test_a_received_folder_changes_no_run_of_another(tmp_path: Path, store: str) -> None:
    with Tracker.open(tmp_path / "mine", EXPERIMENT, store) as tracker:
        tracker.run("mine").set_tags({"a": "mine"})
    mine = run_of(store)
    folder = receive(tmp_path / "received", store, {"kind": "tags", "values": {"a": "theirs"}})
    with Tracker.open(folder, EXPERIMENT, store):  # So that there is a cursor by the right name.
        pass
    (cursor,) = folder.glob("tracking/cursor-*.json")
    content = json.loads(cursor.read_text())
    first = (folder / "tracking" / "journal.jsonl").read_bytes().splitlines(keepends=True)[:2]
    content |= {"runs": {"run": mine.info.run_id}, "offset": sum(map(len, first))}
    cursor.write_text(json.dumps(content))
    sync(folder, store)
    assert MlflowClient(store).get_run(mine.info.run_id).data.tags["a"] == "mine"


def test_what_lies_outside_is_copied_when_it_is_logged(tmp_path: Path, store: str) -> None:
    file, plots = tmp_path / "sweep.yaml", tmp_path / "plots"
    file.write_text("first: 1")
    plots.mkdir()
    (plots / "a.png").write_bytes(b"picture")
    for content in ("first: 1", "second: 2"):
        with Tracker.open(tmp_path / "out", EXPERIMENT, "http://127.0.0.1:1") as tracker:
            run = tracker.run("run")
            file.write_text(content)
            run.log_artifact(file)
            run.log_artifact(plots, "drawn")
    file.unlink()
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    for line in (moved / "tracking" / "journal.jsonl").read_text().splitlines():
        assert str(tmp_path) not in line
    sync(moved, store)
    client, run = MlflowClient(store), run_of(store)
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {"sweep.yaml", "drawn"}
    assert client.list_artifacts(run.info.run_id, "drawn/plots")[0].path == "drawn/plots/a.png"
    copied = client.download_artifacts(run.info.run_id, "sweep.yaml", str(tmp_path))
    assert Path(copied).read_text() == "second: 2"


def test_the_command_names_the_server_and_how_to_send_there(
    tmp_path: Path, listener: Listener, mosim: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    receive(tmp_path / "received", listener.uri, artifact("/etc/hostname"))
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    result = mosim("sync", "received", cwd=tmp_path)
    assert (result.returncode, listener.calls) == (2, 0)
    assert listener.uri in result.stderr
    assert "Traceback" not in result.stderr
