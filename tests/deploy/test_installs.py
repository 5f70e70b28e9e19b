"""What deploy/Dockerfile copies, and what cluster.yaml mounts, installs by their own commands and runs."""

import fnmatch
import os
import shlex
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import yaml
from growing_sweep import RECIPE, SWEEP

ROOT = Path(__file__).parent.parent.parent

_OFFLINE = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
"""For pip: mosim alone is installed, and its dependencies are those of the tests."""

_WHERE = """
import importlib.util
import mosim, mosim_analysis
print(mosim.__file__)
print(mosim_analysis.__file__)
for name in ("_constraint_forces", "_constraint_motion", "_tree_dynamics"):
    print(importlib.util.find_spec(f"mosim.models.mosim.{name}").origin)
"""


pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="an install is not complete without a C compiler")


class Shipment(NamedTuple):
    """How mosim comes to another machine.

    Attributes:
      sources: files and folders of the repository that are copied into one folder there.
      left_out: patterns of the names that are not.
      commands: what Python is started with in that folder, in order.
    """

    sources: list[str]
    left_out: list[str]
    commands: list[list[str]]


def image() -> Shipment:
    """That of the Dockerfile."""
    text = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    instructions = [shlex.split(line) for line in text.splitlines() if line[:1].isupper()]
    copied = [words[1:] for words in instructions if words[0] == "COPY"]
    assert all(target in ("./", source) for *sources, target in copied for source in sources), copied
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    return Shipment(
        sources=[source for *sources, _ in copied for source in sources],
        # Others lie beside what is copied: Docker takes a pattern without stars for a name in the repository's root.
        left_out=[pattern.removeprefix("**/") for pattern in ignored if pattern.startswith("**/")],
        commands=[words[2:] for words in instructions if words[:2] == ["RUN", "python"]],
    )


def launcher() -> Shipment:
    """That of the launcher's file."""
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    mounts = {target: source for target, source in config["file_mounts"].items() if target.startswith("~/mosim/")}
    assert all(target == f"~/mosim/{source}" for target, source in mounts.items()), mounts
    commands = [shlex.split(part) for command in config["setup_commands"] for part in command.split(" && ")]
    return Shipment(
        sources=list(mounts.values()),
        left_out=config["rsync_exclude"],
        commands=[words[1:] for words in commands if words[0] == ".venv/bin/python"],
    )


class Installation(NamedTuple):
    """mosim as it is on the other machine: in an environment of its own, with only what was shipped.

    Attributes:
      folder: holds all of it.
      bin: its programs.
    """

    folder: Path
    bin: Path

    def run(self, *command: str, cwd: Path, **variables: str) -> str:
        """Runs one of its programs, and returns what that printed."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module", params=[image, pytest.param(launcher, marks=pytest.mark.slow)])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Installs a shipment as its file says."""
    shipment: Shipment = request.param()
    folder = tmp_path_factory.mktemp(request.param.__name__)
    _copy(shipment, folder / "mosim")
    venv.create(folder / "venv", symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    # As plain paths: a .pth file that lies there, as an editable install's does, is not read.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    made = Installation(folder, folder / "venv" / "bin")
    compiler = folder / "compiler"  # Optimising takes a minute, and what is tested is that all is there.
    compiler.write_text('#!/bin/sh\nexec gcc "$@" -O0\n')
    compiler.chmod(0o755)
    assert any("pip" in command for command in shipment.commands)
    for command in shipment.commands:
        words = [*command, *(_OFFLINE if "pip" in command else [])]
        said = made.run("python", *words, cwd=folder / "mosim", CC=str(compiler))
        print(f"$ python {shlex.join(command)}\n{said}")  # noqa: T201 pytest shows it where something fails.
    return made


def _copy(shipment: Shipment, target: Path) -> None:
    def left_out(folder: str, names: list[str]) -> set[str]:
        del folder
        return {name for name in names for pattern in shipment.left_out if fnmatch.fnmatch(name, pattern)}

    target.mkdir()
    for source in shipment.sources:
        copy: Callable = shutil.copy if (ROOT / source).is_file() else shutil.copytree
        copy(ROOT / source, target / source, **({} if copy is shutil.copy else {"ignore": left_out}))


def test_commands_start_and_nothing_is_missing(installation: Installation, tmp_path: Path) -> None:
    for file in installation.run("python", "-c", _WHERE, cwd=tmp_path).splitlines():
        assert Path(file).is_relative_to(installation.folder), "it is the install under test"
    assert "usage: mosim sweep" in installation.run("mosim", "sweep", "--help", cwd=tmp_path)


@pytest.mark.slow
def test_a_sweep_runs(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    said = installation.run("mosim", "sweep", "sweep.yaml", "--out", "out", "--tracking-uri", "off", cwd=tmp_path)
    assert pd.read_csv(tmp_path / "out" / "trials.csv")["status"].tolist() == ["finished"] * 2
    assert "compiled constraint forces" not in said
