"""Robots by name, from folders that look as their packages and the Menagerie do."""

import sys
from pathlib import Path

import pytest

from mosim.cli.main import EXIT_MISTAKE, main
from mosim.core.errors import MosimError
from mosim.data import Dataset
from mosim.robots import ROBOTS, label_of, mjcf_system, robot_file, robot_names
from mosim.tasks import load_system
from mosim_process import Ended, run_mosim

ARM = """
<mujoco><include file="arm.xml"/><worldbody><geom type="plane" size="1 1 1"/></worldbody></mujoco>
"""
LINK = """
<mujoco><worldbody><body pos="0 0 1"><joint name="{joint}" axis="0 1 0"/>
  <geom type="capsule" fromto="0 0 0 0 0 .3" size=".05"/></body></worldbody>
  <actuator><motor joint="{joint}" ctrlrange="-1 1"/></actuator></mujoco>
"""


def written(file: Path, joint: str) -> Path:
    """A scene that includes an arm beside it."""
    file.parent.mkdir(parents=True)
    file.write_text(ARM)
    (file.parent / "arm.xml").write_text(LINK.format(joint=joint))
    return file


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of one of the robots, whose code says that it was run."""
    robot, site = ROBOTS["panda"], tmp_path / "site"
    file = written(site / robot.package / robot.file, "packed")
    (site / robot.package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    return file


def test_a_robot_is_found_in_its_package_which_is_not_imported(package: Path) -> None:
    assert robot_file("panda") == package
    system = load_system("panda")
    assert (system.source, system.facts.name, label_of("panda")) == ("panda", "panda", "panda")
    assert [joint.name for joint in system.facts.joints] == ["packed"]
    assert ROBOTS["panda"].package not in sys.modules
    again = system.reload()
    assert (again.source, again.facts) == (system.source, system.facts)


def test_a_checkout_of_the_menagerie_comes_first(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "menagerie" / ROBOTS["panda"].menagerie, "cloned")
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path / "menagerie"))
    assert robot_file("panda") == file
    assert [joint.name for joint in load_system("panda").facts.joints] == ["cloned"]
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path / "elsewhere"))
    assert robot_file("panda") == package


def test_what_is_not_installed_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setattr(sys, "path", [])
    for name in robot_names():
        with pytest.raises(MosimError, match=f"the model of {name} is not installed; run: pip install"):
            load_system(name)
    with pytest.raises(MosimError, match="or clone the MuJoCo Menagerie and set MENAGERIE_ROOT"):
        load_system("go2")
    monkeypatch.undo()
    with pytest.raises(SystemExit):
        main(["collect", "pandas", "--out", "x"])
    assert "did you mean" in capsys.readouterr().err


def test_commands_take_the_name(tmp_path: Path) -> None:
    file = written(tmp_path / "menagerie" / ROBOTS["panda"].menagerie, "cloned")
    environment = {"MENAGERIE_ROOT": str(tmp_path / "menagerie"), "MLFLOW_TRACKING_URI": "off"}

    def run(*words: str) -> Ended:
        return run_mosim(*words, cwd=tmp_path, environment=environment)

    collect = ["collect", "panda", "--out", "data/panda", "--episodes", "2", "--steps", "20", "--workers", "1"]
    collected = run(*collect)
    assert collected.returncode == 0, collected.stderr
    dataset = Dataset.open(str(tmp_path / "data" / "panda"))
    assert (dataset.metadata.source, dataset.facts.name) == ("panda", "panda")
    assert "nothing to collect" in run(*collect).stdout
    assert run("systems", "panda").stdout.splitlines()[1].split()[:6] == ["panda", "1", "1", "0", "1", "0.002"]
    refused = run("run", "panda")
    assert refused.returncode == EXIT_MISTAKE
    assert "panda is a robot without a task" in refused.stderr
    # Another model under the same name is another system.
    (file.parent / "arm.xml").write_text(LINK.format(joint="cloned").replace("0 0 .3", "0 0 .4"))
    changed = run(*collect)
    assert changed.returncode == EXIT_MISTAKE
    assert "body_mass" in changed.stderr


def test_files_that_share_a_name_are_named_after_their_folders(tmp_path: Path) -> None:
    first, second = (written(tmp_path / folder / "scene.xml", "joint") for folder in ("panda", "go2"))
    assert [mjcf_system(path).facts.name for path in (first, second)] == ["panda-scene", "go2-scene"]
    assert label_of(str(first)) == "panda-scene"
    assert mjcf_system(first.parent / "arm.xml").facts.name == "arm"
    assert mjcf_system(first).source == str(first)
