"""A collection goes on when a host is lost, and comes to the same data."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import meeting_policy
import pytest
from meeting_policy import turning
from network_hosts import NetworkHost, NoNamespacesError, network_hosts
from ray import cloudpickle
from shrinking_collection import BEHAVIOUR, EPISODES, STEPS

from mosim.data import collect

# Ray's workers cannot import a test.
cloudpickle.register_pickle_by_value(meeting_policy)

_BIN = Path(sys.executable).parent

_START_SECONDS = 120.0
"""Of Ray's nodes, of which several start at once on few cores."""

_END_SECONDS = 120.0
"""From the loss to the end. Ray itself takes a minute to notice."""


def shard_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").iterdir())}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_idle_survivors_take_over_the_work_of_a_node_that_is_removed(ray_of_two: None, tmp_path: Path) -> None:
    """There is no CPU for a replacement, so whoever waited for one would wait for ever."""
    script = Path(__file__).with_name("shrinking_collection.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "data")],
        env=os.environ | {"BEGUN": str(tmp_path / "begun")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collect("reacher-easy", tmp_path / "calm", EPISODES, STEPS, BEHAVIOUR, 2, load_policy=lambda _: turning)
    assert shard_bytes(tmp_path / "data") == shard_bytes(tmp_path / "calm")


@pytest.mark.slow
def test_survivors_finish_when_the_network_of_a_host_is_cut(ray_of_two: None, tmp_path: Path) -> None:
    """No connection is closed, as when a cable breaks, and the lost host is never heard of again."""
    episodes, out, begun = 100, tmp_path / "data", tmp_path / "begun"
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with _cluster_of_hosts(3, {"BEGUN": str(begun), "PYTHONPATH": paths}) as (environment, hosts):
        flags = ["--behaviour=policy", f"--policy={BEHAVIOUR.policy}", f"--episodes={episodes}", f"--steps={STEPS}"]
        driver = subprocess.Popen(
            hosts[0].command(str(_BIN / "mosim"), "collect", "reacher-easy", *flags, "--workers=2", f"--out={out}"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        _wait_until(begun.exists, driver)
        hosts[-1].cut_off()
        said, _ = driver.communicate(timeout=_END_SECONDS)
        assert driver.returncode == 0, said
    collect("reacher-easy", tmp_path / "calm", episodes, STEPS, BEHAVIOUR, 2, load_policy=lambda _: turning)
    assert shard_bytes(out) == shard_bytes(tmp_path / "calm")


@contextmanager
def _cluster_of_hosts(count: int, variables: dict[str, str]) -> Iterator[tuple[dict[str, str], Sequence[NetworkHost]]]:
    """Ray on hosts of a network of their own: the first is the head, and the others have a CPU each.

    All have the variables, and the last has LOST_HOST beside. Yields the environment of a driver on the head, and the
    hosts. Skips the test where there can be no such network.
    """
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | access | variables
    with tempfile.TemporaryDirectory(prefix="mosim-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            with network_hosts(count) as hosts:
                address = f"{hosts[0].address}:6379"
                head = ["--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}"]
                _start_ray(hosts[0], head, environment, Path(folder) / "head.log")
                for host in hosts[1:]:
                    mark = {"LOST_HOST": "1"} if host is hosts[-1] else {}
                    node = [f"--address={address}", "--num-cpus=1"]
                    _start_ray(host, node, environment | mark, Path(folder) / f"{host.namespace}.log")
                yield environment | {"RAY_ADDRESS": address}, hosts
        except NoNamespacesError as error:
            pytest.skip(f"no network namespaces here: {error}")


def _start_ray(host: NetworkHost, flags: list[str], environment: dict[str, str], log: Path) -> None:
    common = [f"--node-ip-address={host.address}", "--disable-usage-stats", f"--object-store-memory={128 << 20}"]
    command = host.command(str(_BIN / "ray"), "start", "--block", *common, *flags)
    with log.open("w") as said:
        node = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
    _wait_until(lambda: "Ray runtime started" in log.read_text(), node)


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        assert process.poll() is None, f"{process.args} ended"
        assert time.monotonic() < deadline, f"{process.args} takes too long"
        time.sleep(0.02)
