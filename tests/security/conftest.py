"""What somebody else may have prepared: modules that leave a mark when they run, and folders with a twist."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Mosim = Callable[..., subprocess.CompletedProcess[str]]

CODE = """
import pathlib
pathlib.Path({mark!r}).touch()
raise RuntimeError("this module must not run")
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Is there once hostile code has run."""
    return tmp_path / "hostile-code-ran"


@pytest.fixture
def hostile_module(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that any process of the test can import, and that leaves the mark."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "hostile_module.py").write_text(CODE.format(mark=str(mark)))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return "hostile_module"


@pytest.fixture
def mosim(tmp_path: Path) -> Mosim:
    """Runs the command line as its installed script does: the working folder is not on Python's path."""
    script = tmp_path / "script" / "mosim"
    script.parent.mkdir()
    script.write_text("from mosim.cli.main import main\nmain()\n")

    def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=cwd,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def simulator(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a simulator of reacher that was hardly trained."""
    from mosim.data import collect
    from mosim.training import Recipe, Trainer, TrainingData, find_checkpoint

    folder = tmp_path_factory.mktemp("simulator")
    network = {"width": 8, "depth": 1}
    stages = [{"name": "a", "learns": ["predictor"], "steps": 2, "batch_size": 8}]
    recipe = Recipe.model_validate({"model": {"inertia": network, "bias": network}, "stages": stages})
    data = TrainingData.load(collect("reacher-easy", folder / "data", episodes=4, steps=50, workers=1))
    Trainer(system="reacher-easy", recipe=recipe, data=data, out=folder / "run").run(lambda report: None)
    return find_checkpoint(folder / "run")
