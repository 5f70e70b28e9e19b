"""Trajectories of others: the layout of the paper's authors, and what is wrong with files that are not in it."""

from pathlib import Path

import numpy as np
import pytest

from mosim.core.errors import MismatchError, MosimError
from mosim.data import Dataset, Episode, PoissonBehaviour, collect_episode, import_npz
from mosim.tasks import load_task

EPISODES, STEPS = 4, 30


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    task = load_task("reacher-easy")
    return [collect_episode(task, PoissonBehaviour(), STEPS, 0, index) for index in range(EPISODES)]


def rows_of(episode: Episode) -> np.ndarray:
    """`[q, v, u, q', v']`."""
    return np.concatenate([episode.states[:-1], episode.actions, episode.states[1:]], axis=1)


def save(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def imported(tmp_path: Path, **arrays: np.ndarray) -> Dataset:
    return import_npz(save(tmp_path / "theirs.npz", **arrays), "reacher-easy", tmp_path / "data")


def assert_holds(dataset: Dataset, episodes: list[Episode]) -> None:
    trajectories = Dataset.open(dataset.uri).load()
    assert len(trajectories) == len(episodes)
    for index, episode in enumerate(episodes):
        np.testing.assert_array_equal(trajectories.episode(index).states, episode.states)
        np.testing.assert_array_equal(trajectories.episode(index).actions, episode.actions)


def test_rows_by_episode_and_step(episodes: list[Episode], tmp_path: Path) -> None:
    dataset = imported(tmp_path, data=np.stack([rows_of(episode) for episode in episodes]))
    assert_holds(dataset, episodes)
    assert dataset.metadata.behaviour.kind == "imported"
    assert dataset.metadata.steps == STEPS
    assert not dataset.facts.differences(load_task("reacher-easy").facts)


def test_rows_that_do_not_follow_begin_an_episode(episodes: list[Episode], tmp_path: Path) -> None:
    short = Episode(1, episodes[1].states[:8], episodes[1].actions[:7], np.empty(0))
    dataset = imported(tmp_path, data=np.concatenate([rows_of(episodes[0]), rows_of(short)]))
    assert_holds(dataset, [episodes[0], short])
    assert dataset.metadata.steps is None
    assert Dataset.open(dataset.uri).load().lengths.tolist() == [STEPS, 7]


def test_states_and_actions(episodes: list[Episode], tmp_path: Path) -> None:
    states = np.stack([episode.states for episode in episodes])
    actions = np.stack([episode.actions for episode in episodes])
    assert_holds(imported(tmp_path / "whole", states=states, actions=actions), episodes)
    cut = [Episode(0, episode.states[:-1], episode.actions[:-1], episode.context) for episode in episodes]
    assert_holds(imported(tmp_path / "cut", states=states[:, :-1], actions=actions), cut)
    assert_holds(imported(tmp_path / "one", states=states[0], actions=actions[0]), episodes[:1])


def test_single_precision_is_taken(episodes: list[Episode], tmp_path: Path) -> None:
    data = np.stack([rows_of(episode) for episode in episodes]).astype(np.float32)
    trajectories = imported(tmp_path, data=data).load()
    assert trajectories.states.dtype == np.float64
    np.testing.assert_allclose(trajectories.episode(2).states, episodes[2].states, rtol=1e-6, atol=1e-6)


def test_importing_again_changes_nothing_and_another_file_is_refused(episodes: list[Episode], tmp_path: Path) -> None:
    data = np.stack([rows_of(episode) for episode in episodes])
    first = imported(tmp_path, data=data)
    (shard,) = (tmp_path / "data" / "shards").iterdir()
    shard.write_bytes(b"nonsense")
    again = imported(tmp_path, data=data)
    assert again.id == first.id
    assert len(again.load()) == EPISODES
    with pytest.raises(MismatchError, match="holds another dataset"):
        imported(tmp_path, data=data[:2])


def spoiled(data: np.ndarray) -> np.ndarray:
    data = data.copy()
    data[1, 2, 3] = np.nan
    return data


DATA = np.zeros((2, 5, 10))


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"data": DATA[..., :9]}, r"array 'data' has shape \(2, 5, 9\); rows of system 'reacher' are .* of width 10"),
        ({"data": DATA[0, 0]}, r"array 'data' has shape \(10,\)"),
        ({"data": DATA[:0]}, r"array 'data' has shape \(0, 5, 10\)"),
        ({"data": spoiled(DATA)}, r"array 'data' is not finite at \(1, 2, 3\)"),
        ({"data": np.array([{"a": 1}], dtype=object)}, r"array 'data' cannot be read as plain numbers"),
        ({"data": np.full((2, 5, 10), "x")}, r"array 'data' is of type <U1; it must contain numbers"),
        ({"states": DATA[..., :4], "actions": DATA[..., :3]}, r"array 'actions' has shape \(2, 5, 3\)"),
        ({"states": DATA[..., :4], "actions": DATA[:, :2, :2]}, r"shapes \(2, 5, 4\) and \(2, 2, 2\)"),
        ({"states": DATA[..., :4]}, r"has the arrays states; it must have data, or states and actions"),
    ],
)
def test_what_does_not_fit_is_named(arrays: dict[str, np.ndarray], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(MosimError, match=rf"theirs.npz:? .*{sentence}"):
        imported(tmp_path, **arrays)
    assert not (tmp_path / "data").exists()


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    out = tmp_path / "data"
    with pytest.raises(MosimError, match="there is no file at"):
        import_npz(tmp_path / "absent.npz", "reacher-easy", out)
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(MosimError, match=r"is not an .npz file of plain arrays"):
        import_npz(tmp_path / "text.npz", "reacher-easy", out)
    np.save(tmp_path / "single.npy", DATA)
    with pytest.raises(MosimError, match=r"is a single array, not an .npz file"):
        import_npz(tmp_path / "single.npy", "reacher-easy", out)
    whole = save(tmp_path / "whole.npz", data=DATA)
    (tmp_path / "truncated.npz").write_bytes(whole.read_bytes()[:-60])
    with pytest.raises(MosimError, match=r"is not an .npz file"):
        import_npz(tmp_path / "truncated.npz", "reacher-easy", out)
