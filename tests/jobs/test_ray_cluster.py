"""Ray is shut down by whoever started it, and leaves no settings behind."""

import os
import subprocess
import sys

import pytest
import ray

from mosim.jobs import ray_cluster

KEPT = """
import ray
from mosim.jobs import ray_cluster

def session():
    return ray.get_runtime_context().get_session_name()

with ray_cluster.kept():
    assert not ray.is_initialized()
    with ray_cluster.started(num_cpus=1):
        first = session()
        with ray_cluster.started(num_cpus=2):
            assert session() == first, "it is in use"
    with ray_cluster.started(num_cpus=1):
        assert session() == first
    with ray_cluster.started(num_cpus=2):
        assert session() != first
        assert ray.cluster_resources()["CPU"] == 2
assert not ray.is_initialized()
"""

SCRIPT = """
import os, ray
from mosim.jobs import ray_cluster

@ray.remote
def threads():
    return os.environ["OMP_NUM_THREADS"]

with ray_cluster.started(num_cpus=1, worker_threads=3):
    assert ray.cluster_resources()["CPU"] == 1
    assert ray.cluster_resources()["object_store_memory"] == ray_cluster.OBJECT_STORE_BYTES
    assert ray.get(threads.remote()) == "3"
assert not ray.is_initialized()
assert "OMP_NUM_THREADS" not in os.environ
"""


def test_a_running_ray_is_used_and_left_running(ray_of_two: None) -> None:
    before = dict(os.environ)
    with ray_cluster.started(num_cpus=7):
        assert ray.cluster_resources()["CPU"] == 2
    assert ray.is_initialized()
    assert dict(os.environ) == before


def test_a_local_ray_is_small_and_short_lived_even_in_a_deep_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "RAY_ADDRESS")}
    environment["TMPDIR"] = str(tmp_path_factory.mktemp("a_folder_whose_path_is_far_too_long_for_a_socket" * 2))
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True, timeout=120)


def test_a_ray_that_is_kept_serves_all_who_need_no_more_cpus() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    subprocess.run([sys.executable, "-c", KEPT], env=environment, check=True, timeout=120)
