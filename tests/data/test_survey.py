"""What `mosim data` says, against numpy on the whole dataset, and on datasets with faults in them."""

import hashlib
import json
from pathlib import Path

import mujoco
import numpy as np
import pytest

from mosim.cli.main import main
from mosim.core.errors import DamagedFileError
from mosim.core.storage import Folder
from mosim.data import (
    Dataset,
    Episode,
    PoissonBehaviour,
    Shard,
    Surveyor,
    collect_episode,
    contact_share,
    data_warnings,
    overlap,
)
from mosim.data.inspection import surveyor
from mosim.data.metadata import describe, write_metadata
from mosim.data.storage import checksum, encode_shard
from mosim.robots import System
from mosim.tasks import load_system, load_task

EPISODES, STEPS = 6, 80


def write_dataset(folder: Path, system: System, episodes: list[Episode], per_shard: int = 4) -> Dataset:
    """A dataset of these very episodes, whatever is in them: no way in that mosim offers takes what is not finite."""
    place = Folder.at(folder)
    metadata = describe(system, PoissonBehaviour(), 0, len(episodes), None)
    for first in range(0, len(episodes), per_shard):
        part = episodes[first : first + per_shard]
        content, name = encode_shard(part, system.facts), f"shards/{first:06d}.parquet"
        place.write(name, content)
        rows = sum(len(episode.states) for episode in part)
        shard = Shard(name=name, first=first, episodes=len(part), rows=rows, sha256=checksum(content))
        metadata = metadata.with_shards([shard])
    write_metadata(place, metadata)
    return Dataset.open(folder)


def collected(system: System, seed: int = 0, episodes: int = EPISODES, steps: int = STEPS) -> list[Episode]:
    return [collect_episode(system, PoissonBehaviour(), steps + index, seed, index) for index in range(episodes)]


def changed(episode: Episode, index: int | None = None, **arrays: np.ndarray) -> Episode:
    values = {"states": episode.states.copy(), "actions": episode.actions.copy(), **arrays}
    return Episode(episode.index if index is None else index, context=episode.context, **values)


ROBOT = (
    "<mujoco><worldbody><body><joint name='j' axis='0 1 0'/><geom size='.1' pos='.3 0 0'/></body></worldbody>"
    "<actuator><motor joint='j'/></actuator></mujoco>"
)


@pytest.fixture(scope="module")
def hopper() -> System:
    return load_task("hopper-hop")


@pytest.fixture(scope="module")
def dataset(hopper: System, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("survey") / "data", hopper, collected(hopper))


def test_counts_and_coverage_are_numpy_s(dataset: Dataset, hopper: System) -> None:
    survey, everything = Surveyor(dataset).survey(), dataset.load()
    states = everything.states
    assert (survey.episodes, survey.shortest, survey.longest) == (EPISODES, STEPS, STEPS + EPISODES - 1)
    assert survey.physics_steps == everything.lengths.sum() == dataset.physics_steps
    assert survey.seconds == pytest.approx(survey.physics_steps * hopper.facts.timestep)
    files = [path for path in Path(dataset.uri).rglob("*") if path.is_file()]
    assert survey.bytes_on_disk == sum(path.stat().st_size for path in files)
    assert [each.name for each in survey.coverage] == list(hopper.facts.state_names)
    for column, each in zip(states.T, survey.coverage, strict=True):
        assert (each.minimum, each.maximum) == (column.min(), column.max())
        assert each.mean == pytest.approx(column.mean(), abs=1e-12)
        assert each.deviation == pytest.approx(column.std(), rel=1e-9)
        assert each.quantiles == pytest.approx({key: np.quantile(column, float(key)) for key in each.quantiles})
    limited = {each.name: each for each in survey.coverage if each.within_range is not None}
    assert limited.keys() == {"qpos/waist", "qpos/hip", "qpos/knee", "qpos/ankle"}
    beyond = np.zeros(len(states), bool)
    for joint in hopper.facts.joints:
        if joint.limited:
            position = states[:, joint.qpos_address]
            outside = (position <= joint.lower) | (position >= joint.upper)
            assert limited[f"qpos/{joint.name}"].within_range == pytest.approx(1 - outside.mean())
            beyond |= outside
    assert survey.at_limits == pytest.approx(beyond.mean())
    assert not data_warnings(survey)


def test_actions_are_counted(dataset: Dataset) -> None:
    survey, everything = Surveyor(dataset).survey(), dataset.load()
    episodes = [everything.episode(index) for index in range(len(everything))]
    actions = np.concatenate([episode.actions for episode in episodes])
    for column, each in zip(actions.T, survey.actuators, strict=True):
        assert (each.minimum, each.maximum) == (column.min(), column.max())
        assert each.mean == pytest.approx(column.mean())
        assert each.zero == pytest.approx((column == 0).mean())
        assert each.outside == 0
    lengths: list[int] = []
    for episode in episodes:
        held = 0
        for step in range(len(episode.actions)):
            held += 1
            if step + 1 == len(episode.actions) or (episode.actions[step + 1] != episode.actions[step]).any():
                lengths.append(held)
                held = 0
    assert survey.held.count == len(lengths)
    assert survey.held.mean == pytest.approx(np.mean(lengths))
    assert survey.held.median == np.median(lengths)
    assert survey.held.longest == max(lengths)


def test_contacts_are_mujoco_s(dataset: Dataset, hopper: System) -> None:
    data, touching = mujoco.MjData(hopper.model), 0
    states = dataset.load().states
    for state in states:
        data.qpos[:] = state[: hopper.facts.nq]
        mujoco.mj_forward(hopper.model, data)
        touching += data.ncon > 0
    assert 0 < touching < len(states)
    assert contact_share(Surveyor(dataset), hopper) == (pytest.approx(touching / len(states)), len(states))


def test_a_sample_serves_where_there_is_much(dataset: Dataset, hopper: System, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Surveyor(dataset).survey()
    monkeypatch.setattr(surveyor, "SAMPLED_ROWS", 100)
    seen = Surveyor(dataset)
    sampled = seen.survey()
    assert (sampled.sampled, len(seen.sample), len(seen.sampled_episodes)) == (100, 100, 100)
    everything = dataset.load()
    for state, action, episode in zip(seen.sample, seen.sampled_actions, seen.sampled_episodes, strict=True):
        [row] = np.flatnonzero((everything.states == state).all(axis=1))
        assert everything.offsets[episode] <= row < everything.offsets[episode + 1]
        np.testing.assert_array_equal(action, everything.actions[row])
    assert sampled.coverage[0].minimum == whole.coverage[0].minimum, "what is not a quantile is of all states"
    assert contact_share(seen, hopper)[1] == 100


class TestFaults:
    def faulty(self, hopper: System, folder: Path, episodes: list[Episode]) -> list[str]:
        return data_warnings(Surveyor(write_dataset(folder, hopper, episodes)).survey())

    def test_what_is_not_finite_is_named_and_left_out(self, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper)
        for index, step, value in ((2, 17, np.nan), (2, 30, np.inf), (5, 3, -np.inf)):
            episodes[index].states[step, 4] = value
        survey = Surveyor(write_dataset(tmp_path, hopper, episodes)).survey()
        column = np.concatenate([episode.states for episode in episodes])[:, 4]
        finite = column[np.isfinite(column)]
        each = survey.coverage[4]
        assert each.not_finite == 3
        assert each.first_not_finite is not None
        assert (each.first_not_finite.episode, each.first_not_finite.step) == (2, 17)
        assert (each.minimum, each.maximum) == (finite.min(), finite.max())
        assert each.mean == pytest.approx(finite.mean())
        assert each.deviation == pytest.approx(finite.std())
        assert all(np.isfinite(level) for level in each.quantiles.values())
        [sentence] = data_warnings(survey)
        assert sentence.startswith("3 values of qpos/hip are not finite, first in episode 2 at step 17")
        json.loads(survey.model_dump_json())

    def test_dimensions_that_never_move(self, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper)
        for episode in episodes:
            episode.states[:, 0] = 0.25
            episode.actions[:, 1] = -0.5
        sentences = self.faulty(hopper, tmp_path, episodes)
        assert sentences == [
            "qpos/rootx never changes; nothing can be learned about it.",
            "ctrl[1] never changes; its effect cannot be learned.",
        ]

    def test_episodes_twice(self, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper)
        episodes.append(changed(episodes[1], index=6))
        [sentence] = self.faulty(hopper, tmp_path, episodes)
        assert sentence.startswith("1 episodes are copies of earlier ones")
        assert sentence.endswith("for example, episode 6 is a copy of episode 1.")

    def test_actions_beyond_their_range_and_mostly_zero(self, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper)
        for episode in episodes:
            episode.actions[::2, 0] = 3.0
            episode.actions[::3, 2] = episode.actions[1::3, 2][: len(episode.actions[::3])].mean()
            episode.actions[: len(episode.actions) * 2 // 3, 2] = 0.0
        sentences = self.faulty(hopper, tmp_path, episodes)
        assert any(sentence.startswith("ctrl[0] leaves the control range in 50") for sentence in sentences)
        assert any(sentence.startswith("ctrl[2] is zero in more than half") for sentence in sentences)

    def test_joints_at_their_limits_and_one_start(self, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper)
        knee = next(joint for joint in hopper.facts.joints if joint.name == "knee")
        for episode in episodes:
            episode.states[10:, knee.qpos_address] = knee.upper + 0.01
            episode.states[0] = episodes[0].states[0]
        sentences = self.faulty(hopper, tmp_path, episodes)
        assert "qpos/knee is at a joint limit in more than half of the states." in sentences
        assert "every episode starts in the same state." in sentences

    def test_orientations_that_are_no_unit_quaternions(self, tmp_path: Path) -> None:
        system = load_task("humanoid-walk")
        episodes = collected(system, episodes=2, steps=10)
        assert Surveyor(write_dataset(tmp_path / "good", system, episodes)).survey().crooked_quaternions == 0
        episodes[1].states[4:6, 3:7] *= 1.1
        survey = Surveyor(write_dataset(tmp_path / "bad", system, episodes)).survey()
        assert survey.crooked_quaternions == 2
        assert any(
            "2 states have an orientation that is not a unit quaternion" in each for each in data_warnings(survey)
        )

    def test_an_unfinished_dataset_is_told_and_a_damaged_one_refused(self, hopper: System, tmp_path: Path) -> None:
        dataset = write_dataset(tmp_path, hopper, collected(hopper))
        metadata = dataset.metadata.model_copy(update={"episodes": 10})
        write_metadata(Folder.at(tmp_path), metadata)
        survey = Surveyor(Dataset.open(tmp_path)).survey()
        assert "the dataset is incomplete: it has 6 of 10 episodes." in data_warnings(survey)
        (tmp_path / dataset.metadata.shards[0].name).write_bytes(b"something else")
        with pytest.raises(DamagedFileError, match="is damaged"):
            Surveyor(Dataset.open(tmp_path))


class TestOverlap:
    def test_other_episodes_are_apart(self, dataset: Dataset, hopper: System, tmp_path: Path) -> None:
        other = write_dataset(tmp_path, hopper, collected(hopper, seed=1))
        seen = Surveyor(dataset)
        shared = overlap(seen, other)
        assert (shared.same_episodes, shared.near_duplicates) == ((), 0.0)
        states, actions = other.load().states, other.load().actions
        rows = np.concatenate([states, actions], axis=1)
        own = np.concatenate([seen.sample, seen.sampled_actions], axis=1)
        scale = own.std(axis=0)
        nearest = [np.sqrt((((rows - row) / scale) ** 2).mean(axis=1)).min() for row in own]
        assert shared.probes == len(own)
        assert shared.nearest_median == pytest.approx(np.median(nearest))
        assert not data_warnings(seen.survey(), shared)

    def test_copied_episodes_are_found(self, dataset: Dataset, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper, seed=1)
        episodes[2] = changed(collected(hopper)[4], index=2)
        seen = Surveyor(dataset)
        shared = overlap(seen, write_dataset(tmp_path, hopper, episodes))
        assert shared.same_episodes == ((4, 2),)
        [sentence] = data_warnings(seen.survey(), shared)
        assert "1 of 6 episodes are also in" in sentence
        assert "for example, episode 4 is episode 2 there" in sentence

    def test_near_twins_are_found(self, dataset: Dataset, hopper: System, tmp_path: Path) -> None:
        episodes = collected(hopper, seed=1)
        copy = collected(hopper)[3]
        episodes[0] = changed(copy, index=0, states=copy.states * (1 + 1e-6))
        seen = Surveyor(dataset)
        shared = overlap(seen, write_dataset(tmp_path, hopper, episodes))
        assert shared.same_episodes == ()
        assert shared.near_duplicates == pytest.approx(len(copy.states) / len(seen.sample), rel=0.02)
        [sentence] = data_warnings(seen.survey(), shared)
        assert "of the steps have a near-duplicate in" in sentence

    def test_the_same_dataset_is_told(self, dataset: Dataset) -> None:
        seen = Surveyor(dataset)
        [sentence] = data_warnings(seen.survey(), overlap(seen, dataset))
        assert "is the same dataset" in sentence


class TestCommand:
    def mosim(self, *arguments: str) -> int:
        try:
            main(["data", *arguments])
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    def test_it_prints_tables_and_writes_json(
        self, dataset: Dataset, hopper: System, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        other = write_dataset(tmp_path / "other", hopper, collected(hopper, seed=1))
        assert self.mosim(dataset.uri, "--against", other.uri, "--json", str(tmp_path / "out.json")) == 0
        said = capfd.readouterr().out
        for words in (
            "hopper, dataset",
            "MuJoCo reproduces",
            "in contact",
            "at limits",
            "qpos/ankle",
            "ctrl[3]",
            "0 identical episodes",
        ):
            assert words in said
        assert "warning" not in said
        assert max(len(line) for line in said.splitlines() if line.startswith("qvel")) < 100
        read = json.loads((tmp_path / "out.json").read_text())
        assert read["warnings"] == []
        assert read["against"]["id"] == other.id
        assert read["coverage"][2]["name"] == "qpos/rooty"
        assert 0 < read["in_contact"] < 1
        assert read["contact_states"] == len(dataset.load().states)
        assert (read["replay"]["verdict"], read["replay"]["wrong"]) == ("follows", 0)
        assert list(read["replay"]["dimensions"]) == list(hopper.facts.state_names)

    def test_rows_that_do_not_follow_are_told(
        self, hopper: System, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        episodes = [changed(each, states=each.states[:, ::-1].copy()) for each in collected(hopper)]
        write_dataset(tmp_path / "data", hopper, episodes)
        assert self.mosim(str(tmp_path / "data")) == 0
        assert "the model 'hopper' does not reproduce these rows" in capfd.readouterr().out

    def test_warnings_do_not_change_the_exit_code(
        self, hopper: System, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        episodes = collected(hopper)
        episodes[0].states[5, 3] = np.nan
        write_dataset(tmp_path / "data", hopper, episodes)
        assert self.mosim(str(tmp_path / "data"), "--json", str(tmp_path / "out.json")) == 0
        assert "not finite, first in episode 0 at step 5" in capfd.readouterr().out.replace("\n", " ")
        assert len(json.loads((tmp_path / "out.json").read_text())["warnings"]) == 1

    def test_errors_do(self, dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.mosim(str(tmp_path / "nowhere")) == 2
        assert "there is no dataset at" in capfd.readouterr().err
        reacher = load_task("reacher-easy")
        other = write_dataset(tmp_path / "other", reacher, collected(reacher, episodes=2, steps=5))
        assert self.mosim(dataset.uri, "--against", other.uri) == 2
        assert "does not fit system hopper" in capfd.readouterr().err

    def test_a_robot_whose_file_is_gone_has_all_but_contacts(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        robot = tmp_path / "robot.xml"
        robot.write_text(ROBOT)
        system = load_system(str(robot))
        write_dataset(tmp_path / "data", system, collected(system, episodes=2, steps=20))
        robot.unlink()
        assert self.mosim(str(tmp_path / "data")) == 0
        said = capfd.readouterr().out
        assert "which no longer exists; give its new path: --system PATH" in said
        assert "no joint has limits" in said

    def test_a_robot_whose_file_moved_is_found_where_the_user_says(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        robot = tmp_path / "robot.xml"
        robot.write_text(ROBOT)
        system = load_system(str(robot))
        write_dataset(tmp_path / "data", system, collected(system, episodes=2, steps=20))
        robot.rename(tmp_path / "moved.xml")
        assert self.mosim(str(tmp_path / "data"), "--system", str(tmp_path / "moved.xml")) == 0
        said = capfd.readouterr().out
        assert "MuJoCo reproduces 41 of 41 steps" in said
        (tmp_path / "moved.xml").write_text(ROBOT.replace("/><geom", " damping='2'/><geom"))
        assert self.mosim(str(tmp_path / "data"), "--system", str(tmp_path / "moved.xml")) == 2
        assert "physical constants differ (dof_damping)" in capfd.readouterr().err


def test_digests_tell_episodes_apart(dataset: Dataset) -> None:
    seen = Surveyor(dataset)
    episode = dataset.load().episode(0)
    assert seen.digests[0] == hashlib.sha256(episode.states.tobytes() + episode.actions.tobytes()).digest()
    assert len(set(seen.digests)) == EPISODES
