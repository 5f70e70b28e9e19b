"""Phases one by one, with files between them, on a robot that has no task."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

import mosim
from mosim.agents import Policy, PolicyFacts, save_policy
from mosim.data import Dataset
from mosim.training import find_checkpoint
from mosim_process import run_mosim

ROBOT = """
<mujoco model="robot">
  <option timestep="0.004"/>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body pos="0 0 .5">
      <freejoint name="root"/>
      <geom type="box" size=".1 .1 .1" mass="1"/>
      <body pos="0 0 .15">
        <joint name="neck" type="ball" damping=".1"/>
        <geom type="capsule" fromto="0 0 0 0 0 .2" size=".03" mass=".2"/>
      </body>
      <body pos=".15 0 0">
        <joint name="arm" type="hinge" axis="0 1 0" limited="true" range="-60 60" damping=".1"/>
        <geom type="capsule" fromto="0 0 0 .2 0 0" size=".03" mass=".2"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="arm" gear="2"/></actuator>
</mujoco>
"""

STAGES = [flag for stage in range(3) for flag in (f"--stages.{stage}.steps", "60")]


def mosim_command(folder: Path, *arguments: str) -> str:
    result = run_mosim(*arguments, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phases")
    (folder / "robot.xml").write_text(ROBOT)
    size = ["--episodes", "6", "--steps", "120", "--workers", "1"]
    mosim_command(folder, "collect", "robot.xml", "--out", "data", *size)
    mosim_command(folder, "train", "robot.xml", "--data", "data", "--out", "sim", *STAGES, "--tracking-uri", "off")
    return folder


def test_an_mjcf_with_every_kind_of_joint_is_collected_trained_and_measured(folder: Path) -> None:
    said = mosim_command(
        folder, "evaluate", "sim", "--data", "data", "--horizons", "1", "20", "--out", "out", "--tracking-uri", "off"
    )
    assert "chaos-floor" in said
    table = pd.read_csv(folder / "out" / "horizon.csv")
    assert table.groupby("model").size().to_dict() == {"mosim": 2, "persistence": 2, "chaos-floor": 2}
    assert table["mse"].to_numpy().max() < 1e6
    assert "mosim (tree)" in said
    assert dict(zip(table["model"], table["knowledge"].fillna(""), strict=True))["mosim"] == "tree"
    assert json.loads((find_checkpoint(folder / "sim") / "checkpoint.json").read_text())["knowledge"] == "tree"
    names = set(pd.read_csv(folder / "out" / "horizon_dimensions.csv")["dimension"])
    assert {"qpos/root[6]", "qpos/neck[3]", "qvel/neck[2]", "qpos/arm"} <= names


def test_quaternions_stay_whole_in_a_long_prediction(folder: Path) -> None:
    simulator = mosim.load(folder / "sim")
    states = Dataset.open(folder / "data").load().states[:4]
    predicted = simulator.rollout(torch.tensor(states, dtype=torch.float32), torch.zeros(4, 500, 1))
    assert torch.isfinite(predicted).all()
    torch.testing.assert_close(predicted[..., 3:7].norm(dim=-1), torch.ones(4, 500), atol=1e-3, rtol=0)


def test_training_is_not_overwritten_and_a_finished_one_resumes_to_itself(folder: Path) -> None:
    again = ["train", "robot.xml", "--data", "data", "--out", "sim", *STAGES, "--tracking-uri", "off"]
    result = run_mosim(*again, cwd=folder)
    assert result.returncode == 2
    assert "--resume" in result.stderr
    assert "checkpoint:" in mosim_command(folder, *again, "--resume")


def test_a_policy_s_folder_collects(folder: Path) -> None:
    policy = Policy(
        PolicyFacts(task="pendulum-swingup", observation_size=3, action_size=1, hidden=(8,), clip=10.0, action_repeat=3)
    )
    for weight in policy.parameters():
        torch.nn.init.normal_(weight)
    save_policy(policy, folder / "policy")
    mosim_command(
        folder, "collect", "pendulum-swingup", "--out", "swung", "--episodes", "2", "--steps", "30",
        "--workers", "1", "--behaviour", "policy", "--policy", "policy",
    )  # fmt: skip
    actions = Dataset.open(folder / "swung").load().episode(0).actions.reshape(10, 3)
    assert abs(actions).max() > 0
    assert (actions == actions[:, :1]).all(), "each is held for three control steps, as it was trained"


def test_rllib_s_own_checkpoint_is_refused_and_the_way_round_is_told(folder: Path) -> None:
    (folder / "rllib").mkdir()
    (folder / "rllib" / "rllib_checkpoint.json").write_text("{}")
    arguments = ["collect", "reacher-easy", "--out", "d", "--behaviour", "policy", "--policy", "rllib"]
    result = run_mosim(*arguments, cwd=folder)
    assert result.returncode == 2
    assert "module:function" in result.stderr
