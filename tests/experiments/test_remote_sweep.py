"""A sweep on a cluster that is somewhere else, through Ray Client."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_START_SECONDS = 90.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster's client server; the cluster is of this machine, and beside any other that is there."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    port, client_port, agent_port = free_ports(3)
    temporary = Path("/tmp") / f"mosim-{os.getpid()}"  # noqa: S108 Ray's sockets need a short path.
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"]
    command += [f"--port={port}", f"--ray-client-server-port={client_port}", f"--temp-dir={temporary}", "--num-cpus=2"]
    command += ["--include-dashboard=false", f"--dashboard-agent-listen-port={agent_port}"]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={128 << 20}"]
    with (tmp_path / "head.txt").open("wb") as said:
        head = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield f"ray://127.0.0.1:{client_port}"
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(_START_SECONDS)
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.mark.slow
def test_a_sweep_runs_and_goes_on_through_ray_client(
    cluster: str, sweep_command: Callable[..., Any], tmp_path: Path
) -> None:
    command = sweep_command(
        "--address",
        cluster,
        "--storage",
        str(tmp_path / "shared"),
        data={"episodes": 4, "steps": 120},
        space={"stages.1.learning_rate": {"grid": [0.001, 0.003]}},
        minutes=0.03,
    )
    assert command.run() == 0, command.said
    assert command.trials["status"].tolist() == ["finished"] * 2
    assert (command.out / "best" / "checkpoint.json").is_file()
    assert (tmp_path / "shared" / "tiny" / "data").is_dir(), "collected where trials find it"
    before = command.trials
    assert command.run() == 2
    assert "holds a run already; resume it with --resume" in command.said
    assert command.run("--resume") == 0, command.said
    assert command.trials.equals(before)


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_told_in_a_sentence(sweep_command: Callable[..., Any]) -> None:
    (port,) = free_ports(1)
    command = sweep_command("--address", f"ray://127.0.0.1:{port}")
    assert command.run(environment={"RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "1"}) == 2
    assert f"mosim sweep: no Ray cluster answers at ray://127.0.0.1:{port}: " in " ".join(command.said.split())
    assert "Traceback" not in command.said
