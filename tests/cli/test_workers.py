"""`mosim train --workers`: several processes train one simulator, as a user meets it."""

import signal
import time
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

import mosim
from mosim.data import collect
from mosim_process import Ended, run_mosim, started_mosim

RECIPE = """
model: {inertia: {width: 16, depth: 1}, bias: {width: 16, depth: 1}, actuation: {width: 16, depth: 1}}
stages:
  - {name: short, learns: [predictor], steps: 110, batch_size: 32}
  - {name: long, learns: [predictor], steps: 1200, batch_size: 32, patience: 1, horizon: 2}
  - {name: last, learns: [predictor], steps: 1200, batch_size: 32, patience: 1, horizon: 4}
"""


COMMAND = [
    "train", "pendulum-swingup", "--data", "data", "--recipe", "recipe.yaml", "--out", "out", "--device", "cpu",
]  # fmt: skip


def finished(folder: Path, *arguments: str) -> Ended:
    return run_mosim(*COMMAND, *arguments, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path, ray_of_two: None) -> Path:
    collect("pendulum-swingup", tmp_path / "data", episodes=4, steps=60, workers=1)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.mark.slow
def test_a_user_sees_progress_and_a_checkpoint_and_nothing_of_ray(folder: Path) -> None:
    short = ["--stages.1.steps", "10", "--stages.2.steps", "110"]
    result = finished(folder, "--workers", "2", *short)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    # So short a training may end worse than no change, which is said on a line of its own.
    recipe, *warning, checkpoint, measure = result.stdout.splitlines()
    file = "recipe: the file recipe.yaml (geometry), as requested; changed: "
    assert recipe.startswith(f"{file}stages.1.steps was 1200 and is 10; ")
    assert [line.partition(" predicts")[0] for line in warning] in ([], ["warning: the simulator"])
    assert checkpoint == "checkpoint: out/checkpoints/step-00000230-stage-3"
    assert measure == "evaluate it: mosim evaluate out"
    assert {path.name for path in (folder / "out").iterdir()} >= {"checkpoints", "mosim.log"}
    assert not (folder / "out" / ".ray_train").exists()
    assert mosim.load(folder / "out").facts.nq == 1
    again = finished(folder, "--workers", "2", *short)
    assert again.returncode == 2
    assert "out holds a run already; resume it with --resume" in again.stderr
    assert "Traceback" not in again.stderr


def test_an_address_without_workers_is_a_mistake(folder: Path) -> None:
    result = finished(folder, "--address", "auto")
    assert result.returncode == 2
    assert "--address needs --workers" in result.stderr


@pytest.mark.slow
def test_after_ctrl_c_and_after_a_killed_driver_the_same_command_goes_on(folder: Path) -> None:
    # A terminal's Ctrl-C reaches all processes of the command; the second blow falls on the driver alone.
    for blow, group, code, reached in ((signal.SIGINT, True, 130, 110), (signal.SIGKILL, False, -9, 1310)):
        with started_mosim(*COMMAND, "--workers", "2", "--resume", cwd=folder) as process:
            deadline = time.monotonic() + 120
            while steps(folder)[-1:] < [reached]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(blow, group)
            assert process.wait() == code
    result = finished(folder, "--resume")
    assert result.returncode == 0, result.stdout + result.stderr
    assert steps(folder)[-1] == 2510


@pytest.mark.slow
def test_workers_on_two_nodes_of_a_cluster_that_is_joined(folder: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        quick = ["--address", cluster.address, "--stages.1.steps", "10", "--stages.2.steps", "10"]
        many = finished(folder, "--workers", "3", *quick)
        assert many.returncode == 2
        assert "Ray's 2 node(s) have room for 2" in many.stderr
        result = finished(folder, "--workers", "2", *quick)
        assert result.returncode == 0, result.stdout + result.stderr
        assert steps(folder)[-1] == 130
    finally:
        cluster.shutdown()


def steps(folder: Path) -> list[int]:
    """Gradient steps of the checkpoints."""
    return sorted(int(path.name.split("-")[1]) for path in (folder / "out" / "checkpoints").glob("step-*"))
