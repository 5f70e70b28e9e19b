"""What a user sees of a sweep to which something happens, and what is left of it: on disk, and in MLflow."""

import contextlib
import os
import pickle
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.cluster_utils import Cluster

from mosim.cli.main import EXIT_INTERRUPTED, EXIT_MISTAKE, main
from mosim.core.errors import DamagedFileError, DivergenceError, MosimError
from mosim.experiments.tune.failures import lasting_failure
from mosim.experiments.tune.tune_state import COPY_FILE, mend_state
from mosim_process import run_mosim

DIVERGING = 1e30
"""A learning rate."""

RATE = "stages.1.learning_rate"

NODE_MEMORY = 128 << 20
"""Bytes of a node's object store."""


def assert_all_is_there(command, trials: int) -> None:
    """That a sweep has come to its end: in the table, and in MLflow, which has one run a trial and their parent."""
    assert len(command.trials) == trials
    assert set(command.trials["status"]) <= {"finished", "failed"}
    runs = command.runs
    assert sorted(runs.index) == sorted(["sweep tiny", *(f"trial {trial}" for trial in command.trials.index)])
    children = runs.drop("sweep tiny")
    assert set(children["parent"]) == {runs.loc["sweep tiny", "id"]}
    expected = {"finished": "FINISHED", "failed": "FAILED"}
    for trial, status in command.trials["status"].items():
        assert children.loc[f"trial {trial}", "status"] == expected[status]
        assert bool(children.loc[f"trial {trial}", "failure"]) == (status == "failed")
    assert runs.loc["sweep tiny", "status"] == "FINISHED"
    assert f"best of {trials} trials" in str(runs.loc["sweep tiny", "note"])


def trained_again(command, before: dict[str, dict[str, Any]]) -> list[str]:
    """The trials that have made another checkpoint since they had ended."""
    return [trial for trial, last in before.items() if command.ended[trial] != last]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_that_is_interrupted_and_killed_goes_on_and_repeats_nothing(sweep_command) -> None:
    command = sweep_command(share_predictors=False)
    command.start()
    command.wait(lambda: command.ended)
    interrupted = command.ended
    time.sleep(1.5)  # What ended less than a second before may be trained again from its last report but one.
    assert command.end(signal.SIGINT) == EXIT_INTERRUPTED
    assert f"--tracking-uri {command.uri} --resume" in command.said
    assert "mosim sweep: interrupted; finished work is kept." in command.said
    assert "Run the same command again to continue, with --resume if it has that flag." in command.said
    assert "Traceback" not in command.said
    command.start("--resume")
    command.wait(lambda: len(command.kept) > len(command.ended) > len(interrupted))
    time.sleep(1.5)
    killed = {trial: last for trial, last in command.ended.items() if time.time() - last["time"] / 1e9 > 1.5}
    assert len(killed) > len(interrupted)
    assert command.end(signal.SIGKILL) == -signal.SIGKILL
    assert command.run("--resume") == 0, command.said
    assert not trained_again(command, interrupted | killed)
    assert "tiny: best of 3 trials" in command.said
    assert_all_is_there(command, 3)
    refused = command.run()
    assert refused == EXIT_MISTAKE
    assert f"{command.out} holds a run already; resume it with --resume, or give another folder." in command.said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rungs_that_were_filled_before_a_kill_stop_trials_after_it(sweep_command) -> None:
    alone = {"name": "alone", "learns": ["predictor"], "minutes": 1, "batch_size": 64, "patience": 1}
    command = sweep_command(
        set={"model.correctors": []},
        space={"stages": {"grid": [[alone | {"learning_rate": rate}] for rate in (0.003, 1e-9)]}},
        scheduler={"kind": "asha", "grace_minutes": 0.06},
        minutes=0.15,
    )
    command.start()
    command.wait(lambda: command.ended)
    time.sleep(1.5)  # Less than a trial's grace, and enough for Tune to write down that the first has ended.
    assert command.end(signal.SIGKILL) == -signal.SIGKILL
    assert command.run("--resume") == 0, command.said
    assert command.trials["status"].tolist() == ["finished", "stopped early"]
    assert command.trials["train_seconds"].iloc[1] < 5


@pytest.mark.timeout(600)
def test_a_trial_that_diverges_has_failed_and_the_others_go_on(sweep_command) -> None:
    space = {"stages.0.learning_rate": {"grid": [0.003, DIVERGING, 0.01]}}
    command = sweep_command(space=space, set={"stages.0.gradient_clip": 1e9})
    assert command.run() == 0, command.said
    assert "Traceback" not in command.said
    assert_all_is_there(command, 3)
    (failed,) = command.trials[command.trials["status"] == "failed"].index
    reason = command.trials.loc[failed, "failure"]
    assert reason.startswith("diverged: training of pendulum diverged in stage 'predictor' at gradient step 1: ")
    assert "Lower the stage's learning_rate" in reason
    assert f"failed trial {failed}: {reason}" in command.said
    assert command.runs.loc[f"trial {failed}", "failure"] == reason
    assert (command.out / "best" / "checkpoint.json").exists()
    assert "--resume" not in command.said, "it would diverge again"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_all_of_whose_trials_diverge_has_no_best(sweep_command) -> None:
    space = {"stages.0.learning_rate": {"grid": [DIVERGING, 2 * DIVERGING]}}
    command = sweep_command(space=space, set={"stages.0.gradient_clip": 1e9})
    assert command.run() == 1, command.said
    assert command.said.count("diverged: training of pendulum") == 4, "once as it happens, once at the end"
    assert "Traceback" not in command.said
    assert "full training" not in command.said
    assert not (command.out / "best").exists()
    assert_all_is_there(command, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_trial_whose_process_is_killed_goes_on_from_its_last_report(sweep_command) -> None:
    command = sweep_command(minutes=0.15, share_predictors=False, space={RATE: {"grid": [0.003]}})
    command.start()
    command.wait(lambda: [reports for reports in command.kept.values() if len(reports) > 3])
    command.kill_trials()
    at_least = next(iter(command.kept.values()))[-2]
    assert command.end() == 0, command.said
    assert_all_is_there(command, 1)
    pids: dict[int, list[float]] = {}
    for report in next(iter(command.reports.values())):
        pids.setdefault(report["pid"], []).append(report["train_seconds"])
    before, after = pids.values()
    assert after[0] > at_least["train_seconds"]
    assert after[0] > before[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_trial_too_large_for_the_memory_fails_once_and_says_what_needs_less(sweep_command) -> None:
    command = sweep_command(space={"model.bias.width": {"grid": [16, 2_000_000]}})
    assert command.run() == 0, command.said
    assert_all_is_there(command, 2)
    (reason,) = command.trials["failure"].dropna()
    assert reason.startswith("out of memory: ")
    assert "Use narrower networks, smaller batches" in reason
    assert reason in command.said
    assert "Traceback" not in command.said
    assert not list(command.out.glob("tune/trial-*/error.txt")), "it was not tried again"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nodes_that_go_during_collection_and_trials_are_made_up_for(sweep_command, three_nodes: Cluster) -> None:
    command = sweep_command(data={"episodes": 60, "steps": 1000}, minutes=0.2, budget={})
    command.start(environment={"RAY_ADDRESS": three_nodes.address})
    command.wait(lambda: list((command.out / "data").rglob("*.parquet")))
    remove_node(three_nodes)
    command.wait(lambda: len(command.kept) > 1)
    remove_node(three_nodes)
    assert command.end() == 0, command.said
    assert_all_is_there(command, 3)
    assert command.trials["train_seconds"].min() >= 12


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_is_named_and_once_there_is_room_the_sweep_goes_on(sweep_command, small_disk: Path) -> None:
    command = sweep_command("--storage", str(small_disk), share_predictors=False)
    command.storage = small_disk / "tiny"
    command.start()
    command.wait(lambda: command.ended)
    ended = command.ended
    time.sleep(2.5)  # In which Tune writes down that it has ended.
    ballast = small_disk / "ballast"
    fill(ballast)
    assert command.end() == EXIT_MISTAKE, command.said
    sentence = "free some space, then run the same command with --resume to continue."
    assert f"mosim sweep: no space left on device, in {command.storage} or {command.out}; {sentence}" in command.said
    assert "crashed: OSError: [Errno 28]" in command.said
    assert "Traceback" not in command.said
    ballast.unlink()
    assert command.run("--resume") == 0, command.said
    assert not trained_again(command, ended)
    assert_all_is_there(command, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tracking_server_that_dies_costs_nothing(sweep_command, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'server.db'}"
    port = free_port()
    command = sweep_command(uri=f"http://127.0.0.1:{port}")
    with tracking_server(port, database):
        command.start()
        command.wait(lambda: command.ended)
    assert command.end() == 0, command.said
    assert "warning: the tracking server" in command.said
    (advice,) = re.findall(r"send them later with: mosim (sync .*)", command.said)
    with tracking_server(port, database):
        synced = run_mosim(*shlex.split(advice), cwd=tmp_path)
        assert synced.returncode == 0, synced.stderr
        assert "events sent" in synced.stdout
        assert_all_is_there(command, 3)


@pytest.mark.parametrize(
    ("changes", "line", "sentence"),
    [
        ({"data": {"path": "nowhere"}}, 4, "key 'data.path': "),
        ({"task": "pendulum-swingdown"}, 2, "did you mean pendulum-swingup?"),
        ({"recipe": "nowhere.yaml"}, 5, "key 'recipe': "),
        ({"space": {"stages.0.learning_rates": {"grid": [1]}}}, 9, "learning_rates"),
        ({"metrics": "horizon_mse/16"}, 17, "unknown key 'metrics'"),
    ],
)
def test_a_mistake_in_the_file_is_told_before_anything_starts(
    sweep_command, changes: dict[str, Any], line: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = sweep_command(**changes)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(command.file), "--out", str(command.out)])
    assert ended.value.code == EXIT_MISTAKE
    said = capsys.readouterr().err
    assert said.startswith(f"mosim sweep: {command.file}, line {line}: ")
    assert sentence in said
    assert not command.out.exists()


def test_state_that_a_full_disk_has_cut_short_is_taken_from_its_copy(tmp_path: Path) -> None:
    (tmp_path / "tune").mkdir()
    for name, content in [
        ("experiment_state-1.json", b'{"trials": 0}'),
        ("experiment_state-2.json", b'{"tri'),
        ("searcher-state-2.pkl", pickle.dumps([3])),
        ("experiment_state-3.json", b""),
    ]:
        (tmp_path / "tune" / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / COPY_FILE, "w") as archive:
        archive.writestr("experiment_state-2.json", b'{"trials": 1}')
        archive.writestr("searcher-state-2.pkl", pickle.dumps([2]))
    mend_state(str(tmp_path))
    left = {file.name: file.read_bytes() for file in (tmp_path / "tune").iterdir()}
    assert left == {
        "experiment_state-1.json": b'{"trials": 0}',
        "experiment_state-2.json": b'{"trials": 1}',
        "searcher-state-2.pkl": pickle.dumps([2]),
    }


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DivergenceError("stage 0."), "diverged: stage 0."),
        (DamagedFileError("x is damaged."), "error: x is damaged."),
        (MemoryError(), "out of memory: an array is too large. Use narrower networks"),
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory: CUDA out of memory. Use narrower"),
        (MosimError("s3://x cannot be written: [Errno 28] No space left on device"), None),
        (OSError("Input/output error"), None),
    ],
)
def test_only_what_would_fail_again_is_not_tried_again(error: Exception, sentence: str | None) -> None:
    said = lasting_failure(error)
    assert said == sentence if sentence is None else str(said).startswith(sentence)


def fill(ballast: Path) -> None:
    """Leaves no room on a disk."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def remove_node(cluster: Cluster) -> None:
    """Ends a node's processes, as if the machine were switched off."""
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


@contextlib.contextmanager
def tracking_server(port: int, database: str) -> Iterator[None]:
    """An MLflow server, which is killed at the end."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--backend-store-uri", database],
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=Path(database.removeprefix("sqlite:///")).parent,
    )
    try:
        deadline = time.monotonic() + 90
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    """Whether there is a server."""
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310
            return True
    except OSError:
        return False


def free_port() -> int:
    """Of the loopback device."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def three_nodes() -> Iterator[Cluster]:
    """A Ray cluster of three nodes of one CPU, beside a head without any."""
    # Not pytest's folder: the paths of Ray's sockets would be too long.
    with tempfile.TemporaryDirectory(prefix="mosim-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False, "object_store_memory": NODE_MEMORY}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(3):
                cluster.add_node(num_cpus=1, object_store_memory=NODE_MEMORY)
            yield cluster
        finally:
            cluster.shutdown()
