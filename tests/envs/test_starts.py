"""Where episodes start."""

import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from mosim.core.errors import DamagedFileError, MismatchError, MosimError
from mosim.data import Dataset, Trajectories, collect
from mosim.envs import MoSimVectorEnv, StartStates, find_dataset, make_starts
from mosim.models import NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.tasks import load_task
from mosim.training.checkpoint import save_checkpoint

TASK = "reacher-easy"


@pytest.fixture(scope="module")
def run(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder as `mosim run` leaves it: data, and a simulator of them."""
    folder = tmp_path_factory.mktemp("run")
    dataset = collect(TASK, folder / "data" / "train", episodes=6, steps=40, workers=1, seed=5)
    facts = load_task(TASK).facts
    tiny = NeuralSimulatorConfig.model_validate({name: {"width": 8, "depth": 0} for name in ("inertia", "bias")})
    save_checkpoint(
        folder / "simulator" / "checkpoints", "step-1", NeuralSimulator(facts, tiny, Statistics.neutral(facts)), {},
        system=TASK, recipe={}, dataset_id=dataset.id, cursor={"finished": True},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def trajectories(run: Path) -> Trajectories:
    return Dataset.open(run / "data" / "train").load()


def made(num_envs: int, run: Path, **options) -> MoSimVectorEnv:
    envs = gymnasium.make_vec(f"MoSim/{TASK}-v0", num_envs=num_envs, checkpoint=run, **options).unwrapped
    assert isinstance(envs, MoSimVectorEnv)
    return envs


def in_data(envs: MoSimVectorEnv, trajectories: Trajectories) -> np.ndarray:
    """Whether each env is in a state of the data, under the context of that state's episode."""
    found = []
    for state, context in zip(envs.state.numpy(), envs.context.numpy(), strict=True):
        rows = np.flatnonzero((np.abs(trajectories.states - state) < 1e-5).all(axis=1))
        episodes = np.searchsorted(trajectories.offsets, rows, side="right") - 1
        found.append(any(np.array_equal(trajectories.contexts[episode], context) for episode in episodes))
    return np.array(found)


def test_episodes_start_in_states_of_the_data_with_their_targets(run: Path, trajectories: Trajectories) -> None:
    envs = made(16, run, start="data", max_episode_steps=3)
    envs.reset(seed=0)
    assert in_data(envs, trajectories).all()
    first = envs.state.clone()
    assert len(torch.unique(first, dim=0)) > 12
    assert first[:, 2:].abs().amax() > 0.5, "an episode's own start is at rest"
    for _ in range(4):
        envs.step(np.zeros((16, 2), np.float32))
    assert in_data(envs, trajectories).all()
    assert not torch.equal(envs.state, first)
    envs.reset(seed=0)
    assert torch.equal(envs.state, first)
    envs.reset(seed=1)
    assert not torch.equal(envs.state, first)


@pytest.mark.parametrize("start", ["initial", "data", "mixed"])
def test_the_starts_do_not_depend_on_how_many_processes_share_the_envs(run: Path, start: str) -> None:
    whole = made(6, run, start=start)
    parts = [made(2, run, start=start, first_index=first) for first in (0, 2, 4)]
    for envs in (whole, *parts):
        envs.reset(seed=3)
        envs.reset()
    assert torch.equal(whole.state, torch.cat([part.state for part in parts]))
    assert torch.equal(whole.context, torch.cat([part.context for part in parts]))


def test_mixed_starts_are_half_of_each_at_any_time(run: Path, trajectories: Trajectories) -> None:
    envs, initial = made(10, run, start="mixed"), made(10, run)
    for seed in (0, None, None):
        envs.reset(seed=seed)
        initial.reset(seed=seed)
        from_data = in_data(envs, trajectories)
        assert from_data.sum() == 5
        assert torch.equal(envs.state[~from_data], initial.state[~from_data])


def test_one_env_takes_the_same_words(run: Path, trajectories: Trajectories) -> None:
    env = gymnasium.make(
        f"MoSimTrue/{TASK}-v0", start="data", data=run / "data" / "train", max_episode_steps=2, disable_env_checker=True
    )
    env.reset(seed=0)
    assert in_data(env.unwrapped.batch, trajectories).all()  # pyright: ignore[reportAttributeAccessIssue]
    cuts = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(2)]
    assert cuts == [(False, False), (False, True)]


def test_the_data_of_a_simulator_are_known_by_their_id(run: Path, tmp_path: Path) -> None:
    assert find_dataset(run).uri == str(run / "data" / "train")
    moved = tmp_path / "moved"
    shutil.copytree(run / "simulator", moved / "simulator")
    with pytest.raises(MosimError, match=r"the dataset \w+, on which the simulator in .* was trained, is in none of"):
        made(1, moved, start="data")
    made(1, moved, start="data", data=run / "data" / "train")
    with pytest.raises(MosimError, match="give the dataset: data=PATH"):
        gymnasium.make(f"MoSimTrue/{TASK}-v0", start="data")


def test_states_are_kept_in_a_file(run: Path, tmp_path: Path) -> None:
    task = load_task(TASK)
    states = StartStates.of(Dataset.open(run / "data" / "train"), task, count=50)
    assert (states.states.shape, states.contexts.shape) == ((50, 4), (50, task.context_size))
    states.save(tmp_path / "starts.safetensors")
    envs = made(3, run, start="data", data=tmp_path / "starts.safetensors")
    envs.reset(seed=4)
    expected = [make_starts("data", task, states)([4, index, 0]).state for index in range(3)]
    np.testing.assert_allclose(envs.state.numpy(), expected, atol=1e-6)
    (tmp_path / "starts.safetensors").write_bytes(b"nothing")
    with pytest.raises(DamagedFileError, match="has no start states that can be read"):
        made(1, run, start="data", data=tmp_path / "starts.safetensors")


def test_contexts_of_another_task_are_drawn_anew_and_another_system_is_refused(run: Path) -> None:
    dataset, hard = Dataset.open(run / "data" / "train"), load_task("reacher-hard")
    states = StartStates.of(dataset, hard)
    assert states.contexts.shape[1] == 0
    drawn = make_starts("data", hard, states)([0, 1, 2])
    np.testing.assert_array_equal(drawn.context, hard.reset([0, 1, 2]).context)
    assert (states.states == drawn.state).all(axis=1).any()
    with pytest.raises(MismatchError, match="does not fit task cartpole-swingup: nu is 2 instead of 1"):
        StartStates.of(dataset, load_task("cartpole-swingup"))
