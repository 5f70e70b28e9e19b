"""cluster.yaml is what Ray's launcher takes, on every provider, and its commands do what they say."""

import copy
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.command_runner import _with_interactive
from ray.autoscaler._private.util import prepare_config, validate_config, with_head_node_ip

ROOT = Path(__file__).parent.parent.parent
PROVIDERS = {"aws": "aws", "gcp": "gcp", "onpremise": "local"}
TRACKING_URI = "http://tracking.example.com:5000"
ACCESS = "~/.ray/auth_token"

_RECORDER = """#!/bin/bash
echo "$MLFLOW_TRACKING_URI|$RAY_AUTH_MODE|$PWD|$(basename $0) $*" >> "$HOME/calls"
"""
"""Stands for a program, and notes how it was called."""

_PYTHON = """#!/bin/bash
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin" && cp "$HOME/stubs/recorder" "$3/bin/python" && cp "$HOME/stubs/recorder" "$3/bin/ray"
fi
"""
"""Stands for Python 3.11, and makes environments whose python and ray are recorders."""


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def launcher(provider: str, tmp_path: Path) -> dict[str, Any]:
    """The file for a provider, made by the command in its own header."""
    text = (ROOT / "cluster.yaml").read_text()
    if provider == "aws":
        return yaml.safe_load(text)
    command = re.search(rf"^#   (sed .* > cluster-{provider}\.yaml)$", text, re.MULTILINE)
    assert command, "the header has the command"
    shutil.copy(ROOT / "cluster.yaml", tmp_path)
    subprocess.run(["bash", "-c", command[1]], cwd=tmp_path, check=True)
    return yaml.safe_load((tmp_path / f"cluster-{provider}.yaml").read_text())


def test_ray_takes_it(launcher: dict[str, Any], provider: str) -> None:
    assert launcher["provider"]["type"] == PROVIDERS[provider]
    prepared = prepare_config(copy.deepcopy(launcher))
    validate_config(prepared)
    assert not set(launcher) - set(prepared)


@pytest.mark.parametrize("provider", ["aws", "gcp"], indirect=True)
def test_clouds_start_nothing_but_the_head_and_run_no_trial_on_it(launcher: dict[str, Any]) -> None:
    types = launcher["available_node_types"]
    assert types[launcher["head_node_type"]]["resources"] == {"CPU": 0}
    workers = [types["cpu"], types["gpu"]]
    assert all(worker["min_workers"] == 0 < worker["max_workers"] for worker in workers)
    assert sum(worker["max_workers"] for worker in workers) <= launcher["max_workers"]
    assert types["gpu"]["resources"]["GPU"] == 1
    assert "GPU" not in types["cpu"]["resources"]


def test_what_travels_is_the_token_and_what_an_installation_takes(launcher: dict[str, Any]) -> None:
    mounts = launcher["file_mounts"]
    assert mounts.pop(ACCESS) == ACCESS
    sources = [Path(local) for local in mounts.values()]
    assert all((ROOT / source).exists() and not source.is_absolute() for source in sources), sources
    assert list(mounts) == [f"~/mosim/{source}" for source in sources]


def test_a_compiler_is_there_before_the_install(launcher: dict[str, Any]) -> None:
    compiler, install = (
        next(index for index, command in enumerate(launcher["setup_commands"]) if words in command)
        for words in ("install --yes g++", "pip install")
    )
    assert compiler < install


def test_the_tracking_server_is_named_once() -> None:
    assert (ROOT / "cluster.yaml").read_text().count("MLFLOW_TRACKING_URI") == 1


@pytest.mark.parametrize("role", ["head", "worker"])
def test_commands_install_the_lock_and_start_ray_under_the_tracking_server(
    launcher: dict[str, Any], role: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    _prepare_home(home, launcher)
    prepared = prepare_config(copy.deepcopy(launcher))
    setup = prepared[f"{role}_setup_commands"]
    start = with_head_node_ip(prepared[f"{role}_start_ray_commands"], "10.0.0.7")
    for command in [*setup, *setup, *start]:  # Twice, as when `ray up` brings a node up to date.
        _run_as_ray_does(command, home)

    calls = [call.split("|") for call in (home / "calls").read_text().splitlines()]
    assert {tuple(call[:2]) for call in calls} == {(TRACKING_URI, "token")}
    installed = [(folder, call) for _, _, folder, call in calls if "--editable ." in call]
    assert (
        installed == [(f"{home}/mosim", "python -m pip install --constraint constraints.txt --editable .[cluster]")] * 2
    )
    assert (home / "mosim" / "constraints.txt").is_file()
    started = [call for *_, call in calls if call.startswith("ray start")]
    place = "--head --port=6379" if role == "head" else "--address=10.0.0.7:6379"
    assert len(started) == 1
    assert started[0].startswith(f"ray start {place} ")
    assert "--object-store-memory=2000000000" in started[0]
    assert ("--num-cpus=0" in started[0]) == (role == "head")
    assert (home / ".bashrc").read_text().count("mosim.env") == 1


def _prepare_home(home: Path, launcher: dict[str, Any]) -> None:
    """A node's home as `ray up` leaves it before the first command, with stubs for the programs of the node."""
    stubs = home / "stubs"
    stubs.mkdir(parents=True)
    for name, script in (("recorder", _RECORDER), ("python3.11", _PYTHON), ("g++", _RECORDER)):
        (stubs / name).write_text(script)
        (stubs / name).chmod(0o755)
    (home / ".bashrc").write_text(f"export PATH={stubs}:$PATH\n")
    for remote, local in launcher["file_mounts"].items():
        target = home / remote.removeprefix("~/")
        target.parent.mkdir(exist_ok=True)
        if local == ACCESS:
            target.write_text("a token")
        else:
            target.symlink_to(ROOT / local)


def _run_as_ray_does(command: str, home: Path) -> None:
    """In the shell that Ray's SSH runner asks for."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-c", " ".join(_with_interactive(command))],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
