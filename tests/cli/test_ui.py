"""`mosim ui` on a real store: MLflow answers, shows what was tracked, and is gone with the command."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mosim.cli.main import main
from mosim.tracking import Tracker

START_SECONDS = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with one run, of its plot too."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "out").mkdir()
    (folder / "out" / "horizon.png").write_bytes(b"picture")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with Tracker.open(folder / "out", "shown", uri) as tracker, tracker.run("evaluate reacher-easy") as run:
        run.log_metrics({"horizon_mse/mosim": 0.5}, step=16)
        run.log_artifact(folder / "out" / "horizon.png", "evaluation")
        run.describe("**horizon error**")
    return uri


def ui(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from mosim.cli.main import main; main()", "ui", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def children_of(pid: int) -> list[int]:
    """Processes below another, of every depth."""
    found = []
    for task in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((task / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found += [int(task.name), *children_of(int(task.name))]
    return found


def ask(address: str, path: str, content: dict[str, object]) -> dict[str, list[dict[str, dict[str, object]]]]:
    request = urllib.request.Request(  # noqa: S310
        f"{address}/api/2.0/mlflow/{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_it_shows_what_was_tracked_until_it_is_ended(store: str, tmp_path: Path, ending: signal.Signals) -> None:
    process = ui("--tracking-uri", store, "--port", "0")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"the MLflow UI for {store} is at http://127.0.0.1:" in line
        address = line.split()[-1]
        with urllib.request.urlopen(address, timeout=30) as page:  # noqa: S310
            assert b"MLflow" in page.read()
        found = ask(address, "experiments/search", {"max_results": 10, "filter": "name = 'shown'"})
        [experiment] = found["experiments"]
        [run] = ask(address, "runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
        assert run["info"]["run_name"] == "evaluate reacher-easy"
        where = f"{address}/get-artifact?path=evaluation/horizon.png&run_uuid={run['info']['run_id']}"
        with urllib.request.urlopen(where, timeout=30) as artifact:  # noqa: S310
            assert artifact.read() == b"picture"
        children = children_of(process.pid)
        assert children
        process.send_signal(ending)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while any(Path("/proc", str(child)).exists() for child in children):
        assert time.monotonic() < deadline, "a process of MLflow's is left"
        time.sleep(0.1)


def test_a_port_that_is_taken_is_told_with_one_that_is_free(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["ui", "--tracking-uri", store, "--port", str(port)])
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert f"port {port} on 127.0.0.1 cannot be used: Address already in use; --port " in said


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("sqlite:///nowhere/mlflow.db", "nowhere/mlflow.db. Commands such as mosim train create one"),
        ("mlruns", "mlruns. Commands such as mosim train create one"),
        ("off", "the tracking URI is off, so nothing is tracked"),
        ("databricks", "Databricks has a UI of its own"),
    ],
)
def test_what_is_no_store_is_told(uri: str, sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ui", "--tracking-uri", uri])
    assert ended.value.code == 2
    assert sentence in capfd.readouterr().err


def test_a_store_that_mlflow_cannot_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    process = ui("--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--port", "0")
    said, _ = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 2
    assert "the MLflow UI does not start: " in said
    assert "Traceback" not in said


def test_a_server_s_address_is_said_and_nothing_started(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow.example.org")
    before = children_of(os.getpid())
    main(["ui"])
    said = capfd.readouterr().out
    assert "http://me:***@mlflow.example.org" in said
    assert "secret" not in said
    assert children_of(os.getpid()) == before


def test_the_command_that_others_print_runs(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mosim.tracking import ui_command

    assert shutil.which("mosim", path=str(Path(sys.executable).parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert ui_command(f"sqlite:///{tmp_path}/mlflow.db") == "mosim ui"
    assert ui_command(store) == f"mosim ui --tracking-uri {store}"
    assert ui_command("http://me:secret@example.org") == "open http://me:***@example.org"
