"""Logs of robots: MuJoCo's own motion, written as a robot would log it, and read again."""

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from scipy.spatial.transform import Rotation

from mosim.cli.main import EXIT_MISTAKE, main
from mosim.core.errors import MismatchError, MosimError
from mosim.data import Dataset, Episode, PoissonBehaviour, collect_episode, import_log
from mosim.data.importing.log_map import read_log_map
from mosim.data.importing.logs import find_delay
from mosim.tasks import load_task

TASK = load_task("cartpole-swingup")
JOINTS = [joint.name for joint in TASK.facts.joints]
MAP: dict[str, Any] = {
    "time": "t",
    "joints": {
        "slider": {"position": "x", "velocity": "dx"},
        "hinge_1": {
            "position": {"column": "angle", "unit": "deg", "scale": -1, "offset": 0.5},
            "velocity": {"column": "rate", "unit": "deg", "scale": -1},
        },
    },
    "actuators": {"slide": "u"},
}
"""The pole's encoder counts degrees the other way round, from another zero."""

DIVER = """
<mujoco><option timestep="0.004" gravity="0 0 -1"/><worldbody>
  <body pos="0 0 5"><freejoint name="root"/><geom type="box" size=".1 .2 .3"/>
    <body pos="0 0 .3"><joint name="arm" axis="1 0 0" damping=".1"/>
      <geom type="capsule" fromto="0 0 0 0 0 .3" size=".05"/></body>
  </body>
</worldbody><actuator><motor name="motor" joint="arm" ctrlrange="-1 1"/></actuator></mujoco>
"""


TURNED = {"columns": ["x", "x", "x", "x"], "order": "wxyz"}


def episode(steps: int = 400, index: int = 0) -> Episode:
    return collect_episode(TASK, PoissonBehaviour(mean_hold=20), steps, 0, index)


def logged(trajectory: Episode, every: int = 1) -> pd.DataFrame:
    """What the robot logs: the state at a time, and the command that it is given then."""
    states = trajectory.states[::every]
    commands = np.append(trajectory.actions, trajectory.actions[-1:], axis=0)[::every]
    return pd.DataFrame(
        {
            "t": 100.0 + every * TASK.facts.timestep * np.arange(len(states)),
            "x": states[:, 0],
            "dx": states[:, 2],
            "angle": np.rad2deg(0.5 - states[:, 1]),
            "rate": np.rad2deg(-states[:, 3]),
            "u": commands[:, 0],
        }
    )


def imported(
    tmp_path: Path, table: pd.DataFrame, changes: dict[str, Any] | None = None, allow_mismatch: bool = False
) -> Dataset:
    table.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(MAP | (changes or {})))
    log, log_map, out = (tmp_path / name for name in ("log.csv", "map.yaml", "data"))
    return import_log(log, log_map, "cartpole-swingup", out, allow_mismatch)


def test_a_log_at_the_system_s_time_step_is_taken_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trajectory = episode()
    found = imported(tmp_path, logged(trajectory)).load()
    np.testing.assert_allclose(found.states, trajectory.states, atol=1e-9)
    np.testing.assert_array_equal(found.actions[:-1], trajectory.actions)
    assert "resampled" not in capsys.readouterr().out


def test_a_slower_log_is_resampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trajectory = episode()
    # Each command is held for two rows of the log at least, so that no change of one is missed.
    trajectory.actions[:] = np.repeat(trajectory.actions[::4], 4, axis=0)
    smooth = replayed(trajectory)
    found = imported(tmp_path, logged(smooth, every=2)).load()
    apart = np.abs(found.states - smooth.states)
    assert np.quantile(apart, 0.95) < 0.005
    assert apart.mean() < 0.005
    np.testing.assert_array_equal(found.actions[:-1], smooth.actions)
    assert "resampled from steps of 0.02 s to steps of 0.01 s" in capsys.readouterr().out


def replayed(trajectory: Episode) -> Episode:
    """The same commands, simulated."""
    data = mujoco.MjData(TASK.model)
    data.qpos[:], data.qvel[:] = np.split(trajectory.states[0], 2)
    states = [trajectory.states[0]]
    for action in trajectory.actions:
        data.ctrl[:] = action
        mujoco.mj_step(TASK.model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
    return Episode(0, np.array(states), trajectory.actions, np.empty(0))


@pytest.mark.parametrize(("noise", "error"), [(0.0, 0.01), (1e-4, 0.03)])
def test_velocities_are_estimated_and_it_is_said_how_well(
    noise: float, error: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trajectory = episode(800)
    table = logged(trajectory).drop(columns=["dx", "rate"])
    table["x"] += noise * np.random.default_rng(0).normal(size=len(table))
    joints = {name: {"position": channels["position"]} for name, channels in MAP["joints"].items()}
    found = imported(tmp_path, table, {"joints": joints}).load()
    for speed in (2, 3):
        apart = (found.states - trajectory.states)[1:, speed]
        assert np.sqrt(np.mean(apart**2)) < error * trajectory.states[:, speed].std()
    said = " ".join(capsys.readouterr().out.split())
    assert "velocities of slider are estimated from positions, whose noise is" in said
    if noise:
        told = float(said.partition("whose noise is ")[2].split(";")[0])
        assert told == pytest.approx(noise, rel=0.3)


def test_a_gap_and_another_number_begin_an_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = logged(episode(300))
    table["trial"] = np.repeat([1, 2], [100, 201])
    table = table.drop(index=range(200, 210))
    found = imported(tmp_path, table, {"episode": "trial"})
    assert found.load().lengths.tolist() == [99, 99, 90]
    short = table.drop(index=range(103, 106))
    (tmp_path / "again").mkdir()
    again = imported(tmp_path / "again", short, {"episode": "trial"})
    assert again.load().lengths.tolist() == [99, 93, 90]
    assert "1 pieces between gaps are too short" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_a_delay_is_found_to_the_step_and_taken_out(
    steps: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trajectory = episode(1500)
    # What is logged is commanded so many steps before it acts.
    commands = np.concatenate([trajectory.actions[steps:], np.repeat(trajectory.actions[-1:], steps, axis=0)])
    table = logged(Episode(0, trajectory.states, commands, np.empty(0)))
    found = imported(tmp_path, table, allow_mismatch=True).load()
    assert find_delay([found.episode(0)], TASK.facts) == pytest.approx(steps * TASK.facts.timestep)
    said = " ".join(capsys.readouterr().out.split())
    assert ("later; add `delay:" in said) == (steps > 0)
    (tmp_path / "shifted").mkdir()
    again = imported(tmp_path / "shifted", table, {"delay": steps * TASK.facts.timestep}).load()
    np.testing.assert_allclose(again.states, trajectory.states[steps:], atol=1e-9)
    np.testing.assert_array_equal(again.actions[:-1], trajectory.actions[steps:])


def test_short_pieces_do_not_keep_a_delay_from_being_found() -> None:
    trajectory = episode(1500)
    steps = 7
    early = Episode(0, trajectory.states[: 1500 - steps], trajectory.actions[steps : 1500 - 1], np.empty(0))
    short = Episode(1, trajectory.states[:15], trajectory.actions[:14], np.empty(0))
    assert find_delay([early, short], TASK.facts) == pytest.approx(steps * TASK.facts.timestep)
    assert find_delay([short], TASK.facts) == 0


def test_another_map_is_another_dataset(tmp_path: Path) -> None:
    table = logged(episode(200))
    first = imported(tmp_path, table)
    assert imported(tmp_path, table).id == first.id
    assert "mosim import log.csv --map map.yaml --system cartpole-swingup" in first.metadata.command("data")
    with pytest.raises(MismatchError, match="holds another dataset: its behaviour"):
        imported(tmp_path, table, {"gap": 3.0})


@pytest.fixture
def dive(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A robot's model, and its states and actions as it turns in the air."""
    (tmp_path / "diver.xml").write_text(DIVER)
    model = mujoco.MjModel.from_xml_string(DIVER)
    data = mujoco.MjData(model)
    data.qvel[:] = [0.3, -0.2, 1.0, 1.0, -2.0, 0.5, 0.0]
    states, actions = [], []
    for step in range(250):
        data.ctrl[:] = np.sin(step / 20)
        states.append(np.concatenate([data.qpos, data.qvel]))
        actions.append(data.ctrl.copy())
        mujoco.mj_step(model, data)
    return tmp_path / "diver.xml", np.array(states), np.array(actions)


@pytest.mark.parametrize("velocities", [None, "body", "world"])
def test_orientations_are_those_of_mujoco(
    velocities: str | None, dive: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    xml, states, actions = dive
    turning = states[:, 11:14]
    if velocities == "world":
        turning = Rotation.from_quat(states[:, 3:7], scalar_first=True).apply(turning)
    # A quaternion and its opposite are the same orientation.
    signs = np.where(np.arange(len(states)) % 3, 1.0, -1.0)[:, None]
    arrays = {
        "pose": np.concatenate([states[:, :3], signs * states[:, [4, 5, 6, 3]]], axis=1),
        "speed": np.concatenate([states[:, 8:11], turning], axis=1),
        "arm": states[:, [7, 14]],
        "command": actions[:, 0],
    }
    np.savez(tmp_path / "log.npz", **arrays)  # pyright: ignore[reportArgumentType]
    root: dict[str, Any] = {
        "position": ["pose[0]", "pose[1]", "pose[2]"],
        "orientation": {"columns": [f"pose[{place}]" for place in range(3, 7)], "order": "xyzw"},
        "velocity": ["speed[0]", "speed[1]", "speed[2]"],
    }
    if velocities:
        root |= {
            "angular_velocity": ["speed[3]", "speed[4]", "speed[5]"],
            "angular_velocity_frame": velocities,
        }
    content = {
        "rate": 250.0,
        "joints": {"root": root, "arm": {"position": "arm[0]", "velocity": "arm[1]"}},
        "actuators": {"motor": "command"},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(content))
    found = import_log(tmp_path / "log.npz", tmp_path / "map.yaml", str(xml), tmp_path / "data").load().states
    found[:, 3:7] *= np.sign((found[:, 3:7] * states[:, 3:7]).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, states, atol=1e-9 if velocities else 5e-3)


def test_a_system_without_actuators_needs_none(tmp_path: Path) -> None:
    link = '<joint name="hinge" axis="0 1 0"/><geom size=".1" pos="0 0 .5"/>'
    (tmp_path / "pendulum.xml").write_text(f"<mujoco><worldbody><body>{link}</body></worldbody></mujoco>")
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "pendulum.xml"))
    data = mujoco.MjData(model)
    data.qpos[:] = 0.3
    angles = []
    for _ in range(100):
        angles.append(float(data.qpos[0]))
        mujoco.mj_step(model, data)
    pd.DataFrame({"angle": angles}).to_csv(tmp_path / "log.csv", index=False)
    content = {"rate": 1 / model.opt.timestep, "joints": {"hinge": {"position": "angle"}}}
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(content))
    source = str(tmp_path / "pendulum.xml")
    found = import_log(tmp_path / "log.csv", tmp_path / "map.yaml", source, tmp_path / "data").load()
    assert found.actions.shape == (100, 0)
    np.testing.assert_array_equal(found.states[:, 0], angles)


def test_parquet_files_of_a_folder_are_one_log(tmp_path: Path) -> None:
    """As a LeRobot dataset has them: lists of numbers, and the time and the episode's number beside them."""
    folder = tmp_path / "lerobot" / "data" / "chunk-000"
    folder.mkdir(parents=True)
    for number in range(2):
        trajectory = episode(100, number)
        table = pa.table(
            {
                "observation.state": pa.array(trajectory.states[:-1].tolist(), pa.list_(pa.float64(), 4)),
                "action": pa.array(trajectory.actions.tolist(), pa.list_(pa.float64())),
                "timestamp": TASK.facts.timestep * np.arange(100),
                "episode_index": np.full(100, number),
            }
        )
        parquet.write_table(table, folder / f"file-{number:03d}.parquet")
    content = {
        "time": "timestamp",
        "episode": "episode_index",
        "joints": {
            "slider": {"position": "observation.state[0]", "velocity": "observation.state[2]"},
            "hinge_1": {"position": "observation.state[1]", "velocity": "observation.state[3]"},
        },
        "actuators": {"slide": "action[0]"},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(content))
    out = tmp_path / "data"
    found = import_log(tmp_path / "lerobot", tmp_path / "map.yaml", "cartpole-swingup", out).load()
    assert found.lengths.tolist() == [99, 99]
    for number in range(2):
        np.testing.assert_array_equal(found.episode(number).states, episode(100, number).states[:-1])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"time": None}, "give either time, a column, or rate"),
        ({"time": "T"}, "unknown column 'T'; available: angle, dx"),
        ({"actuators": {}}, "the map has no actuator 'slide'"),
        ({"actuators": {"slid": "u"}}, "unknown actuator 'slid'; did you mean slide?"),
        ({"joints": {"slider": {"position": "x"}}}, "the map has no joint 'hinge_1'"),
        ({"joints": MAP["joints"] | {"slider": {"velocity": "dx"}}}, "joint 'slider' needs a position"),
        ({"joints": MAP["joints"] | {"slider": {"position": ["x", "x", "x"]}}}, "1 columns of position, not 3"),
        (
            {"joints": MAP["joints"] | {"slider": {"position": "x", "orientation": TURNED}}},
            "joint 'slider' is a slide joint, which has no orientation",
        ),
        ({"joints": MAP["joints"] | {"slider": {"position": "x[0]"}}}, "column 'x' has one number in each row"),
        ({"joints": MAP["joints"] | {"slider": {"position": "holes"}}}, "column 'holes' is not finite in row 7"),
        ({"joints": MAP["joints"] | {"slider": {"position": "note"}}}, "column 'note' must contain numbers"),
        ({"jonts": {}}, "unknown key 'jonts'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    table = logged(episode(50))
    table["holes"] = table["x"].where(table.index != 7)
    table["note"] = "fine"
    content = {name: value for name, value in (MAP | changes).items() if value is not None}
    table.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(MosimError) as told:
        import_log(tmp_path / "log.csv", tmp_path / "map.yaml", "cartpole-swingup", tmp_path / "data")
    assert sentence in str(told.value)
    assert not (tmp_path / "data").exists()


def test_the_command_imports_a_log_and_refuses_one_of_another_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = logged(episode(200))
    table.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(MAP))
    command = ["import", str(tmp_path / "log.csv"), "--map", str(tmp_path / "map.yaml"), "--system", "cartpole-swingup"]
    main([*command, "--out", str(tmp_path / "data")])
    assert "1 episodes, 200 physics steps" in capsys.readouterr().out
    wrong = MAP | {"joints": MAP["joints"] | {"slider": {"position": "angle", "velocity": "dx"}}}
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(SystemExit) as ended:
        main([*command, "--out", str(tmp_path / "other")])
    assert ended.value.code == EXIT_MISTAKE
    assert "--allow-mismatch" in capsys.readouterr().err
    for name in ("nowhere.csv", "map.yaml"):
        with pytest.raises(SystemExit):
            main(["import", str(tmp_path / name), *command[2:], "--out", str(tmp_path / "other")])
    assert "the suffix must be one of .csv, .parquet, .npz" in " ".join(capsys.readouterr().err.split())


def test_quaternions_that_look_like_xyzw_are_told(
    dive: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xml, states, actions = dive
    slow = states[:20]
    odd = np.concatenate([slow[:, :3], slow[:, [4, 5, 6, 3]], slow[:, 7:]], axis=1)
    np.savez(tmp_path / "theirs.npz", states=odd, actions=actions[:19])
    file = str(tmp_path / "theirs.npz")
    main(["import", file, "--system", str(xml), "--out", str(tmp_path / "data"), "--allow-mismatch"])
    assert "looks like (x, y, z, w)" in " ".join(capsys.readouterr().out.split())


def test_the_map_of_the_documentation_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()
    (tmp_path / "map.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    shown = read_log_map(tmp_path / "map.yaml")
    assert list(shown.joints) == ["base", "shoulder", "elbow"]
    assert set(shown.model_fields_set) >= {"time", "time_scale", "episode", "delay", "joints", "actuators"}
