import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mosim.cli.main import main
from mosim.core.errors import MosimError
from mosim.tracking import Tracker, sync

WRITER = """
import sys, time
from pathlib import Path
from mosim.core.files import write_text
from mosim.tracking import Tracker

folder, store, steps, held = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
checkpoint = folder / "checkpoint"
with Tracker.open(folder, "reacher", store) as tracker:
    run = tracker.run("train", tracker.run("run"))
    for step in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, steps):
        if step % 50 == 0:
            write_text(checkpoint, str(step))
        run.log_metrics({"loss": 1 / (step + 1)}, step)
        time.sleep(0.002)
        if step == held:  # Until it is killed, however busy the machine is.
            time.sleep(600)
"""


def history(store: str, name: str = "train") -> list[int]:
    """The steps of the loss of the one run of that name."""
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("reacher")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    return sorted(point.step for point in client.get_metric_history(run.info.run_id, "loss"))


def cursor_text(folder: Path) -> str:
    """The file that says how far the sending came; empty before there is one."""
    return "".join(path.read_text() for path in folder.glob("tracking/cursor-*.json"))


def test_a_server_that_dies_and_comes_back_gets_everything_once(
    tmp_path: Path, server, eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    server.start()
    file = tmp_path / "out" / "plot.png"
    tracker = Tracker.open(tmp_path / "out", "reacher", server.uri)
    run = tracker.run("train")
    for step in range(50):
        run.log_metrics({"loss": float("nan") if step == 7 else step}, step)
    client = MlflowClient(server.uri)
    size = (tmp_path / "out" / "tracking" / "journal.jsonl").stat().st_size
    eventually(lambda: f'"offset": {size},' in cursor_text(tmp_path / "out"), 60)
    assert history(server.uri) == list(range(50))
    server.kill()
    began = time.monotonic()
    for step in range(50, 100):
        run.log_metrics({"loss": step}, step)
    file.write_bytes(b"picture")
    run.log_artifact(file)
    run.finish()
    assert time.monotonic() - began < 1.0
    server.start()
    tracker.close(timeout_seconds=60)
    assert history(server.uri) == list(range(100))
    experiment = client.get_experiment_by_name("reacher")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert [artifact.path for artifact in client.list_artifacts(found.info.run_id)] == ["plot.png"]


def test_a_server_that_never_answers_slows_nothing(
    tmp_path: Path, store: str, eventually, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    said = ""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracker = Tracker.open(tmp_path / "out", "reacher", uri)
        run = tracker.run("train")
        slowest = 0.0

        def warned() -> bool:
            nonlocal slowest, said
            began = time.monotonic()
            run.log_metrics({"loss": 1.0}, 0)
            slowest = max(slowest, time.monotonic() - began)
            said += capsys.readouterr().out
            return "warning" in said

        eventually(warned, 30)
        for step in range(1, 1000):
            run.log_metrics({"loss": 1.0}, step)
        assert slowest < 0.5
        time.sleep(5)
        began = time.monotonic()
        tracker.close(timeout_seconds=20)
        assert time.monotonic() - began < 10
        said += capsys.readouterr().out
    assert said.count("The work continues") == 1
    assert said.count(f"mosim sync {tmp_path / 'out'}") == 2  # Once while it worked, once at the end.
    assert "events could not be sent" in said
    with pytest.raises(MosimError, match="does not accept events"):
        sync(tmp_path / "out", uri)
    sync(tmp_path / "out", store)
    assert set(history(store)) == set(range(1000))


def test_kill_9_loses_no_point_and_doubles_none(tmp_path: Path, store: str, eventually) -> None:
    folder, steps = tmp_path / "out", 1500
    journal = folder / "tracking" / "journal.jsonl"
    command = [sys.executable, "-c", WRITER, str(folder), store, str(steps)]
    ends = steps - 100

    def begun() -> bool:
        return journal.exists() and journal.read_bytes().count(b"\n") > 120

    def sent() -> bool:
        return '"run/train"' in cursor_text(folder)

    for moment in (begun, sent):
        writer = subprocess.Popen([*command, str(ends)])
        eventually(moment, 60)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    subprocess.run([*command, "-1"], check=True, timeout=60)
    assert history(store) == list(range(steps))


def test_a_kill_between_mlflow_and_the_cursor_doubles_nothing(tmp_path: Path, store: str) -> None:
    folder = tmp_path / "out"
    for part in range(3):
        before = {path: path.read_bytes() for path in folder.glob("tracking/cursor-*.json")}
        with Tracker.open(folder, "reacher", store) as tracker:
            run = tracker.run("train")
            for step in range(part * 100, part * 100 + 100):
                run.log_metrics({"loss": 1.0}, step)
        for cursor in folder.glob("tracking/cursor-*.json"):
            cursor.write_bytes(before[cursor]) if cursor in before else cursor.unlink()
    sync(folder, store)
    assert history(store) == list(range(300))


@pytest.mark.parametrize("tail", [b'{"run":"train","time":17', b'{"run":"train","ti\xc3', b"\x00\x00\x00"])
def test_a_torn_last_line_costs_that_event_alone(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str], tail: bytes
) -> None:
    folder = tmp_path / "out"
    for part in range(2):
        with Tracker.open(folder, "reacher", store) as tracker:
            run = tracker.run("train")
            for step in range(part * 10, part * 10 + 10):
                run.log_metrics({"loss": 1.0}, step)
        if part == 0:
            with (folder / "tracking" / "journal.jsonl").open("ab") as journal:
                journal.write(tail)
    assert "cut off when the process that wrote it died" in capsys.readouterr().out
    assert history(store) == list(range(20))
    assert sync(folder, store) == 0


def test_a_damaged_line_is_named_and_the_rest_is_sent(
    tmp_path: Path, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    with Tracker.open(folder, "reacher", store) as tracker:
        run = tracker.run("train")
        for step in range(10):
            run.log_metrics({"loss": 1.0}, step)
    journal = folder / "tracking" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[5] = b"\x00" * 40 + b"\n"
    journal.write_bytes(b"".join(lines))
    other = f"sqlite:///{shutil.copy(store.removeprefix('sqlite:///'), tmp_path / 'other.db')}"
    with Tracker.open(folder, "again", other) as tracker:
        tracker.run("train").log_metrics({"loss": 1.0}, 10)
    assert "journal.jsonl has a damaged line" in caplog.text
    client = MlflowClient(other)
    experiment = client.get_experiment_by_name("again")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    steps = {point.step for point in client.get_metric_history(found.info.run_id, "loss")}
    assert steps == set(range(11)) - {3}


def test_a_damaged_cursor_is_named_and_doubles_nothing(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    for step in range(2):
        with Tracker.open(folder, "reacher", store) as tracker:
            tracker.run("train").log_metrics({"loss": 1.0}, step)
        (cursor,) = folder.glob("tracking/cursor-*.json")
        if step == 0:
            cursor.write_bytes(cursor.read_bytes()[:20])
    assert f"{cursor} is damaged" in capsys.readouterr().out
    assert history(store) == [0, 1]


def test_a_removed_journal_begins_anew(tmp_path: Path, store: str) -> None:
    folder = tmp_path / "out"
    for name in ("train", "again"):
        with Tracker.open(folder, "reacher", store) as tracker:
            tracker.run(name).log_metrics({"loss": 1.0}, 0)
        (folder / "tracking" / "journal.jsonl").unlink()
    assert history(store, "train") == history(store, "again") == [0]


def test_one_artifact_that_cannot_be_sent_holds_up_no_metric(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, blocked = tmp_path / "out", tmp_path / "store" / "mlartifacts"
    blocked.write_text("a file where the artifacts' folder should be")
    with Tracker.open(folder, "reacher", store) as tracker:
        run = tracker.run("train")
        (folder / "plot.png").write_bytes(b"picture")
        run.log_artifact(folder / "plot.png")
        run.log_metrics({"loss": 1.0}, 0)
    assert "1 events could not be sent" in capsys.readouterr().out
    assert history(store) == [0]
    blocked.unlink()
    moved = folder.rename(tmp_path / "moved")
    assert sync(moved, store) == 1
    assert (next(blocked.rglob("plot.png"))).read_bytes() == b"picture"


def test_the_command_sends_what_is_left(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with Tracker.open(folder, "reacher") as tracker:
            tracker.run("train").log_metrics({"loss": 1.0}, 4)
        with pytest.raises(SystemExit) as ended:
            main(["sync", str(folder)])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert (
        f"mosim sync: the tracking server {uri} does not accept events ([Errno 111] Connection refused)" in printed.err
    )
    main(["sync", str(folder), "--tracking-uri", store])
    main(["sync", str(folder), "--tracking-uri", store])
    printed = capsys.readouterr().out
    assert "4 events sent" in printed
    assert "nothing to send, all events were sent before" in printed
    assert history(store) == [4]


@pytest.mark.parametrize("arguments", [["missing"], []])
def test_the_command_explains_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["sync", *arguments])
    assert ended.value.code == 2
    assert "mosim sync: " in capsys.readouterr().err
    assert not os.listdir(tmp_path)
