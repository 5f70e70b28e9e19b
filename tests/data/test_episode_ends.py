"""Where episodes of a file end, as the usual exporters say it."""

from pathlib import Path

import numpy as np
import pytest

from mosim.core.errors import MosimError
from mosim.data import Dataset, Episode, PoissonBehaviour, collect_episode, import_npz
from mosim.tasks import load_system, load_task

STEPS, LENGTHS = 30, np.array([30, 12, 21])
SHORT_ENDS = np.cumsum(LENGTHS)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    task = load_task("reacher-easy")
    return [collect_episode(task, PoissonBehaviour(), STEPS, 0, index) for index in range(3)]


def imported(tmp_path: Path, **arrays: np.ndarray) -> Dataset:
    np.savez(tmp_path / "theirs.npz", **arrays)  # type: ignore[arg-type]
    return import_npz(tmp_path / "theirs.npz", "reacher-easy", tmp_path / "data")


def flat(episodes: list[Episode]) -> dict[str, np.ndarray]:
    """Rows of episodes of `LENGTHS` one after the other, as many states as actions."""
    pairs = [(each.states[:rows], each.actions[:rows]) for each, rows in zip(episodes, LENGTHS, strict=True)]
    states, actions = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return {"states": states, "actions": actions}


def assert_split(dataset: Dataset, episodes: list[Episode], steps: np.ndarray) -> None:
    trajectories = dataset.load()
    assert trajectories.lengths.tolist() == steps.tolist()
    for index, each in enumerate(episodes):
        found = trajectories.episode(index)
        np.testing.assert_array_equal(found.states, each.states[: steps[index] + 1])
        np.testing.assert_array_equal(found.actions, each.actions[: steps[index]])


def last_rows() -> np.ndarray:
    flags = np.zeros(LENGTHS.sum(), bool)
    flags[SHORT_ENDS - 1] = True
    return flags


def first_rows() -> np.ndarray:
    return np.roll(last_rows(), 1)


@pytest.mark.parametrize(
    "ends",
    [
        {"terminals": np.zeros(LENGTHS.sum(), bool), "timeouts": last_rows()},
        {"terminations": last_rows().astype(float)[:, None]},
        {"dones": last_rows().astype(np.uint8)},
        {"is_first": first_rows(), "is_last": last_rows()},
        {"episode_index": np.repeat([4, 5, 9], LENGTHS)},
        {"episode_ends": SHORT_ENDS},
        {"episode_lengths": LENGTHS},
    ],
)
def test_episodes_one_after_the_other(episodes: list[Episode], tmp_path: Path, ends: dict[str, np.ndarray]) -> None:
    assert_split(imported(tmp_path, **flat(episodes), **ends), episodes, LENGTHS - 1)


@pytest.mark.parametrize("filler", [0.0, np.nan])
@pytest.mark.parametrize("name", ["lengths", "mask"])
def test_padded_episodes(episodes: list[Episode], tmp_path: Path, filler: float, name: str) -> None:
    states, actions = (np.stack([getattr(each, part) for each in episodes]) for part in ("states", "actions"))
    for index, length in enumerate(LENGTHS):
        states[index, length + 1 :], actions[index, length:] = filler, filler
    said = LENGTHS if name == "lengths" else np.arange(STEPS) < LENGTHS[:, None]
    assert_split(imported(tmp_path, states=states, actions=actions, **{name: said}), episodes, LENGTHS)


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        (
            {"lengths": np.array([30, 12])},
            r"'lengths' describes 2 episodes of up to 30 rows, 42 rows in total; the file has 1 episodes of 63 rows",
        ),
        ({"lengths": np.array([60.5, 2.5])}, "'lengths' must contain whole numbers"),
        (
            {"episode_ends": np.array([30, 10, 63])},
            "'episode_ends' must contain whole numbers of 0 or more, in rising order",
        ),
        ({"dones": np.zeros(62, bool)}, r"'dones' has shape \(62,\); it must have one value for each of 1 x 63 rows"),
        ({"mask": np.arange(63) % 2 == 0}, "'mask' is false between rows where it is true"),
        (
            {"traj_ends": SHORT_ENDS},
            r"'traj_ends' seems to mark the ends of episodes, .* one of terminals, timeouts,",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    episodes: list[Episode], tmp_path: Path, ends: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(MosimError, match=rf"theirs.npz: array {sentence}"):
        imported(tmp_path, **flat(episodes), **ends)
    assert not (tmp_path / "data").exists()


def test_other_arrays_are_named(episodes: list[Episode], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, states=episodes[0].states, actions=episodes[0].actions, rewards=np.zeros(STEPS))
    assert "these arrays are not used: rewards" in capsys.readouterr().out


def test_a_system_without_actuators_needs_no_actions(tmp_path: Path) -> None:
    path = tmp_path / "swing.xml"
    path.write_text(
        "<mujoco><worldbody><body><joint axis='0 1 0'/><geom size='.1' pos='.3 0 0'/></body></worldbody></mujoco>"
    )
    states = np.stack(
        [collect_episode(load_system(str(path)), PoissonBehaviour(), 9, 0, each).states for each in (0, 1)]
    )
    for number, arrays in enumerate(({"states": states}, {"states": states, "actions": np.zeros((2, 9, 0))})):
        np.savez(tmp_path / "theirs.npz", **arrays)  # type: ignore[arg-type]
        dataset = import_npz(tmp_path / "theirs.npz", str(path), tmp_path / str(number))
        assert (dataset.metadata.episodes, dataset.metadata.steps) == (2, 9)
