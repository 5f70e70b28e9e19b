"""Shards, their checks, and trajectories in memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosim.core.errors import DamagedFileError, MosimError
from mosim.data import Dataset, Episode, Trajectories
from mosim.data.storage import decode_shard, encode_shard
from mosim.tasks import load_task

FACTS = load_task("reacher-easy").facts


def random_episodes(lengths: list[int], context_size: int = 2) -> list[Episode]:
    random = np.random.default_rng(0)
    return [
        Episode(
            index,
            random.normal(size=(length + 1, 4)),
            random.normal(size=(length, 2)),
            random.normal(size=context_size),
        )
        for index, length in enumerate(lengths)
    ]


def trajectories_of(episodes: list[Episode]) -> Trajectories:
    offsets = np.concatenate([[0], np.cumsum([len(episode.states) for episode in episodes])])
    states = np.concatenate([episode.states for episode in episodes])
    actions = np.concatenate([np.pad(episode.actions, ((0, 1), (0, 0))) for episode in episodes])
    return Trajectories(FACTS, states, actions, offsets, np.stack([episode.context for episode in episodes]))


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), context_size=st.integers(0, 3))
def test_shards_return_what_was_written(lengths: list[int], context_size: int) -> None:
    episodes = random_episodes(lengths, context_size)
    content = encode_shard(episodes, FACTS)
    assert content.equals(encode_shard(episodes, FACTS))
    arrays = decode_shard(content.to_pybytes(), FACTS, "here")
    assert arrays.lengths.tolist() == lengths
    np.testing.assert_array_equal(arrays.states, np.concatenate([episode.states for episode in episodes]))
    np.testing.assert_array_equal(arrays.actions, np.concatenate([episode.actions for episode in episodes]))
    np.testing.assert_array_equal(arrays.contexts, np.stack([episode.context for episode in episodes]))


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6), window=st.integers(1, 14))
def test_windows_stay_within_episodes_and_miss_none(lengths: list[int], window: int) -> None:
    trajectories = trajectories_of(random_episodes(lengths))
    rows = trajectories.windows(window)
    episode_of = np.repeat(np.arange(len(lengths)), np.add(lengths, 1))
    expected = [
        row
        for row in range(len(episode_of))
        if row + window < len(episode_of) and episode_of[row] == episode_of[row + window]
    ]
    assert rows.tolist() == expected
    assert rows.dtype == np.int64


def test_episodes_selection_and_stacks_are_the_same_data() -> None:
    episodes = random_episodes([4, 4, 4])
    trajectories = trajectories_of(episodes)
    states, actions = trajectories.stacked()
    assert (states.shape, actions.shape) == ((3, 5, 4), (3, 4, 2))
    assert np.shares_memory(states, trajectories.states)
    for index, episode in enumerate(episodes):
        np.testing.assert_array_equal(trajectories.episode(index).actions, episode.actions)
        np.testing.assert_array_equal(actions[index], episode.actions)
    chosen = trajectories.select([2, 0])
    np.testing.assert_array_equal(chosen.episode(0).states, episodes[2].states)
    np.testing.assert_array_equal(chosen.contexts[1], episodes[0].context)
    with pytest.raises(MosimError, match="episodes of 2 to 4 steps cannot be stacked"):
        trajectories_of(random_episodes([4, 2])).stacked()
    assert "episodes=2, states=(10, 4), actions=(10, 2), contexts=(2, 2)" in repr(chosen)


def test_loading_imports_nothing_large(small_dataset: Path) -> None:
    """Arrow's usual ways to NumPy import 50 MB and more, which many a dataset does not take."""
    program = f"import sys; from mosim.data import Dataset; Dataset.open({str(small_dataset)!r}).load()"
    found = "; print({'pandas', 'pyarrow.dataset', 'pyarrow.compute'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program + found], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "set()"


def test_every_flipped_byte_is_noticed(small_dataset: Path) -> None:
    path = small_dataset / "shards" / "000001.parquet"
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(0, len(content), 5):
        damaged = content.copy()
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"shards/000001.parquet is damaged: its checksum"):
            Dataset.open(small_dataset).load()


def test_truncated_and_missing_shards_are_named(small_dataset: Path) -> None:
    path = small_dataset / "shards" / "000000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match=r"shards/000000.parquet is damaged"):
        Dataset.open(small_dataset).load()
    path.unlink()
    with pytest.raises(DamagedFileError, match=r"shards/000000.parquet is missing"):
        Dataset.open(small_dataset).load()


def test_a_shard_of_another_layout_is_damaged() -> None:
    content = encode_shard(random_episodes([3]), FACTS).to_pybytes()
    cheetah = load_task("cheetah-run").facts
    with pytest.raises(DamagedFileError, match="here is damaged"):
        decode_shard(content, cheetah, "here")
    with pytest.raises(DamagedFileError, match="here is damaged: it is not a shard"):
        decode_shard(b"PAR1 nonsense", FACTS, "here")


def test_folders_that_hold_no_dataset(tmp_path: Path, small_dataset: Path) -> None:
    with pytest.raises(MosimError, match=r"there is no dataset at .* create one with mosim collect"):
        Dataset.open(tmp_path / "nothing")
    metadata = json.loads((small_dataset / "metadata.json").read_text())
    (small_dataset / "metadata.json").write_text(json.dumps(metadata | {"format": 99}))
    with pytest.raises(MosimError, match="has format 99; this version of mosim reads format 1"):
        Dataset.open(small_dataset)
    (small_dataset / "metadata.json").write_text(json.dumps(metadata | {"episodes": "many"}))
    with pytest.raises(DamagedFileError, match=r"metadata.json is damaged: .*episodes"):
        Dataset.open(small_dataset)
    (small_dataset / "metadata.json").write_text('{"format": 1, ')
    with pytest.raises(DamagedFileError, match=r"metadata.json is damaged"):
        Dataset.open(small_dataset)


def test_datasets_open_by_uri_and_keep_their_id_when_moved(small_dataset: Path, tmp_path: Path) -> None:
    by_path, by_uri = Dataset.open(small_dataset), Dataset.open(small_dataset.as_uri())
    assert by_path.id == by_uri.id
    np.testing.assert_array_equal(by_path.load().states, by_uri.load().states)
    moved = small_dataset.rename(tmp_path / "elsewhere")
    assert Dataset.open(moved).id == by_path.id
    assert Dataset.open(moved).load().lengths.tolist() == [40] * 12
    with pytest.raises(MosimError, match="cannot be opened"):
        Dataset.open("nonsense://bucket/data")
