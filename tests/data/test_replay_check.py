"""Data that are no motion of their system are told from those that are, and the mistake in them is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mosim.core.errors import MismatchError, UnsupportedSystemError
from mosim.data import Dataset, Episode, PoissonBehaviour, Trajectories, check_trajectories, collect_episode, import_npz
from mosim.robots import System
from mosim.tasks import load_system, task_names

BALL = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="3 3 .1"/>
    <body pos="0 0 .5"><freejoint name="root"/><geom type="ellipsoid" size=".1 .08 .06" mass="1"/>
      <body pos="0 0 -.06"><joint name="hip" type="ball" range="0 60" damping=".2"/>
        <geom type="cylinder" fromto="0 0 0 0 0 -.2" size=".03" mass=".3"/></body></body>
  </worldbody>
  <actuator>
    <motor joint="hip" gear="1 0 0 0 0 0" ctrlrange="-1 1"/><motor joint="hip" gear="0 1 0 0 0 0" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""

FEW = ("acrobot-swingup", "cheetah-run", "humanoid-walk", "manipulator-insert_peg", "point_mass-hard",
           "swimmer-swimmer15")  # fmt: skip


def episodes_of(system: System, episodes: int = 6, steps: int = 200) -> list[Episode]:
    return [collect_episode(system, PoissonBehaviour(), steps, 0, index) for index in range(episodes)]


def assert_own_data_follow(name: str) -> None:
    try:
        system = load_system(name)
    except UnsupportedSystemError:
        return
    found = check_trajectories(system, Trajectories.of(system.facts, episodes_of(system)))
    assert found is not None
    assert (found.verdict, found.wrong, found.first) == ("follows", 0, None)
    assert found.error < 1e-3
    assert found.sentence(name) is None


@pytest.mark.parametrize("name", FEW)
def test_what_mosim_collects_follows(name: str) -> None:
    assert_own_data_follow(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", task_names())
def test_what_mosim_collects_of_any_task_follows(name: str) -> None:
    assert_own_data_follow(name)


@pytest.fixture(scope="module")
def arm() -> tuple[System, np.ndarray, np.ndarray]:
    system = load_system("reacher-easy")
    episodes = episodes_of(system)
    return system, np.stack([each.states for each in episodes]), np.stack([each.actions for each in episodes])


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> tuple[System, np.ndarray, np.ndarray]:
    path = tmp_path_factory.mktemp("ball") / "ball.xml"
    path.write_text(BALL)
    system = load_system(str(path))
    episodes = episodes_of(system)
    return system, np.stack([each.states for each in episodes]), np.stack([each.actions for each in episodes])


Recording = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def wrapped(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    states = states.copy()
    states[..., :2] = (states[..., :2] + np.pi) % (2 * np.pi) - np.pi
    return states, actions


def late(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return states, np.concatenate([np.zeros_like(actions[:, :1]), actions[:, :-1]], axis=1)


def early(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return states, np.concatenate([actions[:, 1:], np.zeros_like(actions[:, :1])], axis=1)


def padded(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    states, actions = states.copy(), actions.copy()
    states[:, 150:], actions[:, 150:] = states[:, 149:150], 0
    return states, actions


MISTAKES: list[tuple[Recording, str]] = [
    (wrapped, "angles are wrapped to one turn"),
    (late, "actions are one row too late"),
    (early, "actions are one row too early"),
    (padded, "rows are repeated or padded"),
    (lambda states, actions: (states[..., [2, 3, 0, 1]], actions), "velocities come before positions"),
    (lambda states, actions: (np.degrees(states), actions), "angles are in degrees"),
    (lambda states, actions: (states, 100 * actions), "actions are not in the actuators' units"),
    (
        lambda states, actions: (np.repeat(states, 2, 1)[:, :-1], np.repeat(actions, 2, 1)),
        "rows are repeated or padded",
    ),
    (
        lambda states, actions: (states[:, ::5], actions[:, ::5]),
        r"rows are 0\.1 s apart, which is 5 of the model's time steps of 0.02",
    ),
    (
        lambda states, actions: (states[:, :-1].reshape(1, -1, 4), actions.reshape(1, -1, 2)[:, :-1]),
        "episodes end there; mark the ends with an array",
    ),
    (
        lambda states, actions: (np.random.default_rng(0).normal(size=states.shape), actions),
        "no better than persistence: they are noise, or of another system",
    ),
]


@pytest.mark.parametrize(("recording", "sentence"), MISTAKES)
def test_a_mistake_in_a_recording_is_named(
    arm: tuple[System, np.ndarray, np.ndarray], tmp_path: Path, recording: Recording, sentence: str
) -> None:
    system, *motion = arm
    states, actions = recording(*motion)
    np.savez(tmp_path / "theirs.npz", states=states, actions=actions)
    with pytest.raises(
        MismatchError,
        match=rf"theirs.npz: the model 'reacher' does not reproduce these rows: .*{sentence}.*--allow-mismatch",
    ):
        import_npz(tmp_path / "theirs.npz", "reacher-easy", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    taken = import_npz(tmp_path / "theirs.npz", "reacher-easy", tmp_path / "data", allow_mismatch=True)
    found = check_trajectories(system, Dataset.open(taken.uri).load())
    assert found is not None
    assert found.verdict == "contradicts"
    assert not list(Path.cwd().glob("MUJOCO_LOG.TXT"))


@pytest.mark.parametrize("joints", [[3], [7], [3, 7]])
def test_quaternions_in_another_order_are_named(ball: tuple[System, np.ndarray, np.ndarray], joints: list[int]) -> None:
    system, states, actions = ball
    states = states.copy()
    for start in joints:
        states[..., start : start + 4] = np.roll(states[..., start : start + 4], -1, axis=-1)
    episodes = [Episode(0, *pair, np.empty(0)) for pair in zip(states, actions, strict=True)]
    found = check_trajectories(system, Trajectories.of(system.facts, episodes))
    assert found is not None
    assert found.cause.startswith("Most likely, quaternions are (x, y, z, w)")


def test_signs_of_quaternions_are_given_as_mujoco_has_them(
    ball: tuple[System, np.ndarray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system, states, actions = ball
    flipped, chosen = states.copy(), np.random.default_rng(0).random(states.shape[:2]) < 0.3
    chosen[:, 0] = False
    flipped[chosen, 3:7] *= -1
    np.savez(tmp_path / "theirs.npz", states=flipped, actions=actions)
    loaded = import_npz(tmp_path / "theirs.npz", system.source, tmp_path / "data").load()
    np.testing.assert_array_equal(loaded.stacked()[0], states)
    assert f"the signs of {chosen.sum()} quaternions are changed to match the preceding step" in capsys.readouterr().out


@pytest.mark.parametrize(("factor", "length"), [(1.5, "1.5"), (0.0, "0")])
def test_orientations_that_are_no_unit_quaternions_are_refused(
    ball: tuple[System, np.ndarray, np.ndarray], tmp_path: Path, factor: float, length: str
) -> None:
    system, states, actions = ball
    states = states.copy()
    states[2, 7, 3:7] *= factor
    np.savez(tmp_path / "theirs.npz", states=states, actions=actions)
    with pytest.raises(
        MismatchError, match=rf"the quaternion at qpos/root\[3\], step 7 of episode 2, has length {length};"
    ):
        import_npz(tmp_path / "theirs.npz", system.source, tmp_path / "data")


@pytest.mark.parametrize("kind", [np.float32, np.float16, ">f8"])
def test_other_precisions_pass(arm: tuple[System, np.ndarray, np.ndarray], tmp_path: Path, kind: str) -> None:
    _, states, actions = arm
    np.savez(tmp_path / "theirs.npz", states=states.astype(kind), actions=actions.astype(kind))
    assert import_npz(tmp_path / "theirs.npz", "reacher-easy", tmp_path / "data").physics_steps == actions[..., 0].size


def test_measured_motion_is_taken_with_a_warning(
    arm: tuple[System, np.ndarray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, states, actions = arm
    measured = states + np.random.default_rng(0).normal(scale=[0.01, 0.01, 0.3, 0.3], size=states.shape)
    np.savez(tmp_path / "theirs.npz", states=measured, actions=actions)
    import_npz(tmp_path / "theirs.npz", "reacher-easy", tmp_path / "data")
    said = capsys.readouterr().out
    assert "the model 'reacher' reproduces these rows only roughly" in said
    assert "They may contain measurement noise" in said


def test_motion_of_a_heavier_body_is_no_motion_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "ball.xml"
    path.write_text(BALL)
    heavy = tmp_path / "heavy.xml"
    heavy.write_text(BALL.replace('timestep="0.005"', 'timestep="0.005" gravity="0 0 -1.6"'))
    trajectories = Trajectories.of(load_system(str(path)).facts, episodes_of(load_system(str(heavy))))
    found = check_trajectories(load_system(str(path)), trajectories)
    assert found is not None
    assert found.verdict != "follows"


def test_physics_of_an_unknown_context_are_not_repeated() -> None:
    system = load_system("point_mass-hard")
    episodes = [Episode(0, each.states, each.actions, np.empty(0)) for each in episodes_of(system, 2, 20)]
    assert check_trajectories(system, Trajectories.of(system.facts, episodes)) is None
