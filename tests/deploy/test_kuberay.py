"""The Kubernetes manifest fits KubeRay, the image, and the lock."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    manifest = (ROOT / "deploy" / "kuberay.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(manifest)}


@pytest.fixture(scope="module")
def cluster(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    assert documents["RayCluster"]["apiVersion"] == "ray.io/v1"
    return documents["RayCluster"]["spec"]


@pytest.fixture(scope="module")
def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_ray_is_the_locks(cluster: dict[str, Any]) -> None:
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_only_who_has_the_token_gets_in(cluster: dict[str, Any]) -> None:
    assert cluster["authOptions"] == {"mode": "token"}


def test_groups_grow_with_demand_and_the_head_runs_no_trial(cluster: dict[str, Any]) -> None:
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert [group["groupName"] for group in cluster["workerGroupSpecs"]] == ["cpu", "gpu"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]


def test_parameters_of_ray_start_are_strings_and_the_store_fits_its_memory(
    cluster: dict[str, Any], pods: list[dict[str, Any]]
) -> None:
    groups = (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    for group, pod in zip(groups, pods, strict=True):
        parameters = group["rayStartParams"]
        assert all(isinstance(value, str) for value in parameters.values()), parameters
        shared = next(volume for volume in pod["volumes"] if volume["name"] == "shared-memory")["emptyDir"]
        assert shared["medium"] == "Memory"
        room = _gibibytes(shared["sizeLimit"])
        assert int(parameters["object-store-memory"]) < room * 2**30
        assert room < _gibibytes(pod["containers"][0]["resources"]["limits"]["memory"])


def test_every_pod_has_limits_the_tracking_server_and_the_storage(
    documents: dict[str, dict[str, Any]], pods: list[dict[str, Any]]
) -> None:
    settings, claim = documents["ConfigMap"], documents["PersistentVolumeClaim"]
    assert set(settings["data"]) == {"MLFLOW_TRACKING_URI"}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in pods:
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]]
        assert claim["metadata"]["name"] in claims
        assert pod["restartPolicy"] == "Never"
    assert [pod["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") for pod in pods] == [None, None, "1"]


def test_the_image_is_one_that_the_dockerfile_says_how_to_build(pods: list[dict[str, Any]]) -> None:
    tags = re.findall(r"--tag (\S+)", DOCKERFILE)
    assert {pod["containers"][0]["image"] for pod in pods} == set(tags)
    assert tags == [f"mosim:{PROJECT['version']}"]


def test_the_image_has_the_projects_python_and_the_lock() -> None:
    instructions = [shlex.split(line) for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line[:1].isupper()]
    (base,) = [words[1] for words in instructions if words[0] == "FROM"]
    assert base == "python:3.11-slim"
    assert PROJECT["requires-python"] == ">=3.11"
    (install,) = [words for words in instructions if "pip" in words]
    assert install[install.index("--constraint") + 1] == "constraints.txt"
    assert install[-1] == ".[cluster]"
    system = next(words for words in instructions if "apt-get" in words)
    assert "g++" in system, "for the compiled constraint forces"
    assert instructions.index(system) < instructions.index(install)


def _gibibytes(quantity: str) -> int:
    return int(quantity.removesuffix("Gi"))
