"""Collection by Ray actors: the same data whoever collects it, whatever dies meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mosim.core.errors import DivergenceError, MismatchError, MosimError
from mosim.core.storage import Folder
from mosim.data import (
    Dataset,
    PoissonBehaviour,
    PolicyBehaviour,
    Trajectories,
    collect,
    collect_episode,
    resolve_policy,
)
from mosim.data.collect import Collector
from mosim.data.metadata import describe
from mosim.tasks import load_system, load_task

pytestmark = pytest.mark.usefixtures("ray_of_two")

EPISODES, STEPS, SEED = 12, 40, 5
"""Of the dataset that the fixtures hold."""


def assert_same(first: Trajectories, second: Trajectories) -> None:
    for name in ("states", "actions", "offsets", "contexts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def shard_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").iterdir())}


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_collects_the_same_bytes(small_dataset: Path, tmp_path: Path, workers: int) -> None:
    """The third has no CPU to run on, and nothing waits for it."""
    dataset = collect("reacher-easy", tmp_path / "again", EPISODES, STEPS, workers=workers, seed=SEED)
    assert shard_bytes(tmp_path / "again") == shard_bytes(small_dataset)
    assert dataset.id == Dataset.open(small_dataset).id
    assert_same(dataset.load(), Dataset.open(small_dataset).load())


def test_a_dataset_holds_its_episodes_in_order(small_dataset: Path) -> None:
    dataset = Dataset.open(small_dataset)
    trajectories, task = dataset.load(), load_task("reacher-easy")
    assert len(trajectories) == EPISODES
    assert dataset.physics_steps == EPISODES * STEPS
    for index in (0, 7, EPISODES - 1):
        episode = collect_episode(task, PoissonBehaviour(), STEPS, SEED, index)
        np.testing.assert_array_equal(trajectories.episode(index).states, episode.states)
        np.testing.assert_array_equal(trajectories.episode(index).actions, episode.actions)
        np.testing.assert_array_equal(trajectories.contexts[index], episode.context)
    metadata = dataset.metadata
    assert (metadata.source, metadata.seed, metadata.behaviour) == ("reacher-easy", SEED, PoissonBehaviour())
    assert not metadata.facts.differences(task.facts)
    assert {"mosim", "mujoco", "python"} <= metadata.versions.keys()
    assert [shard.episodes for shard in metadata.shards] == [5, 5, 2]


def policy_that_leaves_its_pid(folder: Path) -> Callable[[str], Callable[[np.ndarray], np.ndarray]]:
    """A loader that travels to the actors by value, since they cannot import a test."""

    def load(reference: str) -> Callable[[np.ndarray], np.ndarray]:
        def policy(observation: np.ndarray) -> np.ndarray:
            (folder / str(os.getpid())).touch()
            if reference == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            return np.tanh(observation[:2])

        return policy

    return load


def test_a_killed_actor_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    load_policy = policy_that_leaves_its_pid(tmp_path)
    behaviour = PolicyBehaviour(policy="tame")
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if done and not killed:
            killed.append(int(next(path for path in tmp_path.iterdir() if path.name.isdigit()).name))
            os.kill(killed[0], signal.SIGKILL)

    dataset = collect(
        "reacher-easy", tmp_path / "data", 30, 100, behaviour, workers=2, load_policy=load_policy, on_progress=kill_one
    )
    pids = {int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()}
    assert killed
    assert len(pids) >= 2
    assert [shard.first for shard in dataset.metadata.shards] == [0, 5, 10, 15, 20, 25]
    trajectories, task = dataset.load(), load_task("reacher-easy")
    assert len(trajectories) == 30
    for index in range(0, 30, 4):
        expected = collect_episode(task, behaviour, 100, 0, index, load_policy("tame"))
        np.testing.assert_array_equal(trajectories.episode(index).states, expected.states)


def test_actors_that_keep_dying_end_the_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosim.jobs.worker_pool.LOSSES_PER_WORKER", 1)
    behaviour = PolicyBehaviour(policy="deadly")
    with pytest.raises(MosimError, match="2 workers were lost, the last one with"):
        collect(
            "reacher-easy",
            tmp_path / "data",
            5,
            10,
            behaviour,
            workers=1,
            load_policy=policy_that_leaves_its_pid(tmp_path),
        )


DRIVER = """
import sys
from mosim.data import collect
if __name__ == "__main__":
    collect("cheetah-run", sys.argv[1], 150, 1000, workers=1, seed=1)
"""


def test_a_killed_driver_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(folder.glob("shards/000002.parquet")):
        time.sleep(0.002)
    driver.kill()
    driver.wait()
    interrupted = Dataset.open(folder)
    kept = interrupted.metadata.finished_episodes
    assert 0 < kept < 150
    with pytest.raises(MosimError, match=rf"it has {kept} of 150 episodes; continue with: mosim collect cheetah-run"):
        interrupted.load()
    before = {shard.name: (folder / shard.name).stat().st_mtime_ns for shard in interrupted.metadata.shards}
    reports: list[int] = []
    resumed = collect(
        "cheetah-run", folder, 150, 1000, workers=1, seed=1, on_progress=lambda done, total: reports.append(done)
    )
    assert reports[0] == kept
    assert reports[-1] == 150
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before
    task, trajectories = load_task("cheetah-run"), resumed.load()
    for index in (0, kept - 1, kept, kept + 5, 149):
        expected = collect_episode(task, PoissonBehaviour(), 1000, 1, index)
        np.testing.assert_array_equal(trajectories.episode(index).states, expected.states)


def test_damage_is_mended_by_collecting_again(small_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = shard_bytes(small_dataset)
    whole = Dataset.open(small_dataset)
    (small_dataset / "shards" / "000000.parquet").write_bytes(b"nonsense")
    (small_dataset / "shards" / "000002.parquet").unlink()
    mended = collect("reacher-easy", small_dataset, 12, 40, workers=1, seed=5)
    assert mended.id == whole.id
    assert shard_bytes(small_dataset) == before
    said = capsys.readouterr().out
    assert "000000.parquet is missing or damaged" in said
    assert "000002.parquet is missing or damaged" in said


def test_another_collection_in_the_folder_is_named(small_dataset: Path) -> None:
    def again(
        source: str = "reacher-easy", episodes: int = 12, steps: int = 40, seed: int = 5, hold: float = 5
    ) -> None:
        collect(source, small_dataset, episodes, steps, PoissonBehaviour(mean_hold=hold), workers=1, seed=seed)

    again()
    with pytest.raises(MismatchError, match="its seed is 5 instead of 6"):
        again(seed=6)
    with pytest.raises(MismatchError, match="its episodes is 12 instead of 13; its steps is 40 instead of 41"):
        again(episodes=13, steps=41)
    with pytest.raises(MismatchError, match=r"behaviour .*mean_hold=5.0.* instead of .*mean_hold=6.0"):
        again(hold=6)
    with pytest.raises(MismatchError, match="its source is reacher-easy instead of reacher-hard"):
        again(source="reacher-hard")
    with pytest.raises(MismatchError, match="its system's nq is 2 instead of 9"):
        again(source="cheetah-run")


def test_other_versions_of_the_physics_do_not_mix(small_dataset: Path) -> None:
    path = small_dataset / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["versions"]["mujoco"] = "2.0.0"
    path.write_text(json.dumps(metadata))
    assert len(Dataset.open(small_dataset).load()) == 12
    with pytest.raises(MismatchError, match=r"its version of mujoco is 2.0.0 instead of"):
        collect("reacher-easy", small_dataset, 12, 40, workers=1, seed=5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"episodes": 0}, "episodes is 0; it must be 1 or more"),
        ({"steps": -1}, "steps is -1; it must be 1 or more"),
        ({"workers": 0}, "workers is 0; it must be 1 or more"),
        ({"seed": -1}, "seed is -1; it must be from 0 to 4294967295"),
        ({"source": "reacher-eazy"}, "did you mean reacher-easy"),
        ({"behaviour": PolicyBehaviour(policy="no_such_module:act")}, "cannot be imported"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(tmp_path: Path, arguments: dict, sentence: str) -> None:
    usual = {"source": "reacher-easy", "out": tmp_path / "data", "episodes": 5, "steps": 10}
    with pytest.raises(MosimError, match=sentence):
        collect(**(usual | arguments))
    assert not (tmp_path / "data").exists()


MODEL = """
<mujoco>
  <option timestep="{timestep}"/>
  <worldbody>
    <body>
      <freejoint/><geom size=".1" mass="1"/>
      <body pos=".3 0 0"><joint name="a" stiffness="{stiffness}"/><geom size=".05"/></body>
    </body>
  </worldbody>
</mujoco>
"""


def test_any_mjcf_collects_also_without_actuators(tmp_path: Path) -> None:
    path = tmp_path / "calm.xml"
    path.write_text(MODEL.format(timestep=0.01, stiffness=1))
    metadata = describe(load_system(str(path)), PoissonBehaviour(), 0, 3, 20)
    collector = Collector(str(tmp_path / "data"), metadata, resolve_policy)
    collector.ready()
    shards = collector.collect_shards([0])
    trajectories = Dataset(Folder.at(tmp_path / "data"), metadata.with_shards(shards)).load()
    assert trajectories.stacked()[0].shape == (3, 21, 15)
    assert trajectories.actions.shape == (63, 0)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_model_that_moved_is_the_same_and_one_that_was_edited_is_another(ray_of_two: None, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    path = tmp_path / "old" / "arm.xml"
    path.write_text(MODEL.format(timestep=0.01, stiffness=1))
    first = collect(str(path), tmp_path / "data", 6, 20, workers=1)
    (tmp_path / "data" / first.metadata.shards[1].name).unlink()
    moved = tmp_path / "arm2.xml"
    path.rename(moved)
    again = collect(str(moved), tmp_path / "data", 6, 20, workers=1)
    assert again.id == first.id
    assert Dataset.open(tmp_path / "data").metadata.source == str(moved)
    edited(moved, '<geom size=".05"/>', '<geom size=".05" friction="0.2"/>')
    with pytest.raises(
        MismatchError, match=r"another dataset: its system's physical constants differ \(geom_friction\)"
    ):
        collect(str(moved), tmp_path / "data", 6, 20, workers=1)


def test_an_actor_reports_before_long_however_much_it_is_given(tmp_path: Path) -> None:
    metadata = describe(load_system("reacher-easy"), PoissonBehaviour(), 0, 10_000, 1000)
    collector = Collector(str(tmp_path / "data"), metadata, resolve_policy)
    collector.ready()
    shards = collector.collect_shards(range(0, 10_000, 5))
    assert 1 <= len(shards) < 200
    assert [shard.first for shard in shards] == list(range(0, 5 * len(shards), 5))


def test_divergence_in_an_actor_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "wild.xml"
    path.write_text(MODEL.format(timestep=0.1, stiffness=1e9))
    with pytest.raises(DivergenceError, match=r"^MuJoCo stopped in system 'wild', episode \d, physics step \d+"):
        collect(str(path), tmp_path / "data", 6, 200, workers=1)
