"""A real Ray cluster that grows and shrinks, of nodes that are processes of this machine."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import ray.util

_HEAD = "ray.head.default"
"""The name that Ray's fake provider has for the head's type."""

_PATIENCE = 10.0
"""Seconds that Ray has for ending its processes by itself."""


@pytest.fixture
def autoscaling_cluster() -> Iterator[dict[str, str]]:
    """A cluster whose head has no CPU, and which adds up to two nodes of one CPU as they are wanted.

    Returns:
      The environment of a driver that joins it by `RAY_ADDRESS`, to be run as a process of its own: this one may have a
      Ray already.
    """
    with autoscaling(max_nodes=2, node_cpus=1, idle_minutes=0.05) as joining:
        yield os.environ | joining


@contextmanager
def autoscaling(max_nodes: int, node_cpus: int, idle_minutes: float) -> Iterator[dict[str, str]]:
    """Runs Ray's head with its autoscaler over Ray's fake nodes, and yields the variables that let a driver join.

    `ray.cluster_utils.AutoscalingCluster` does the same, but by `ray stop --force`, which ends every Ray of the machine
    and so other tests and other people's work. This one is a session of its own, and what is left of the session is
    killed at the end.
    """
    # Not pytest's folder: the paths of Ray's sockets would be too long.
    with tempfile.TemporaryDirectory(prefix="mosim-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        address = f"{ray.util.get_node_ip_address()}:{_free_port()}"
        config = Path(folder) / "autoscaling.json"
        config.write_text(json.dumps(_config(address, max_nodes, node_cpus, idle_minutes)))
        access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        with (Path(folder) / "head.log").open("w") as log:
            head = subprocess.Popen(
                _head_command(address, folder, config),
                env=os.environ | access | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_started(head, Path(log.name))
            yield access | {"RAY_ADDRESS": address}
        finally:
            _end(head)


def _session_members(leader: int) -> list[int]:
    """The processes of a session that have not ended."""
    members = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = file.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):  # Has ended since it was listed.
            continue
        if int(session) == leader and state != "Z":
            members.append(int(file.parent.name))
    return members


def _head_command(address: str, folder: str, config: Path) -> list[str]:
    ports = ["--min-worker-port=0", "--max-worker-port=0"]  # Any that are free, beside other Rays.
    if find_spec("grpc"):  # Without it Ray has no server for ray:// addresses, and takes no port for one.
        ports.append(f"--ray-client-server-port={_free_port()}")
    return [
        str(Path(sys.executable).parent / "ray"),
        *("start", "--head", "--block", "--num-cpus=0", "--include-dashboard=False", "--disable-usage-stats"),
        *(f"--port={address.rpartition(':')[2]}", *ports),
        *(f"--temp-dir={folder}", f"--object-store-memory={128 << 20}", f"--autoscaling-config={config}"),
    ]


def _config(address: str, max_nodes: int, node_cpus: int, idle_minutes: float) -> dict[str, Any]:
    """What `ray up` would leave for the autoscaler."""
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "autoscaling",
        # The nodes share an IP address, and so are told apart by their ids.
        "provider": {
            "type": "fake_multinode",
            "gcs_address": address,
            "use_node_id_as_ip": True,
            "launch_multiple": True,
        },
        "max_workers": max_nodes,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_minutes,
        "head_node_type": _HEAD,
        "available_node_types": {
            _HEAD: {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            "cpu": {
                "resources": {"CPU": node_cpus, "object_store_memory": 128 << 20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": max_nodes,
            },
        },
        "auth": {},
        "docker": {},
        **{f"{name}_commands": [] for name in commands},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }


def _wait_until_started(head: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if "Ray runtime started" in log.read_text():
            return
        if head.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"Ray's head did not start:\n{log.read_text()}")


def _end(head: subprocess.Popen) -> None:
    head.terminate()  # It ends its own processes, and the autoscaler the nodes that it started.
    deadline = time.monotonic() + _PATIENCE
    while _session_members(head.pid) and time.monotonic() < deadline:
        head.poll()
        time.sleep(0.2)
    for process in _session_members(head.pid):
        os.kill(process, signal.SIGKILL)
    head.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]
