"""Films of a policy: the episode that is filmed is one that is evaluated."""

from pathlib import Path

import imageio_ffmpeg
import mujoco
import numpy as np
import pytest
import torch

from mosim.agents import Policy, PolicyFacts, evaluate_policy, film_policy, save_policy, true_episode
from mosim.core.errors import MismatchError
from mosim.tasks import Task, load_task


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cartpole-swingup")


@pytest.fixture
def policy(task: Task) -> Policy:
    torch.manual_seed(1)
    facts = PolicyFacts(
        task=task.name, observation_size=task.observation_size, action_size=1, hidden=(8,), clip=10.0, action_repeat=2
    )
    made = Policy(facts)
    made.lower.fill_(-1.0)
    return made


def test_the_episode_is_one_that_is_evaluated(task: Task, policy: Policy) -> None:
    def act_by_row(observations: np.ndarray) -> np.ndarray:
        # The last digits of a batch's products depend on its size, on some processors, and an episode magnifies them.
        return np.concatenate([policy.act(row[None]) for row in observations])

    evaluated = evaluate_policy(act_by_row, task, 3, action_repeat=2)
    for index in range(3):
        episode = true_episode(policy, task, episode=index)
        assert episode.rewards.sum() == pytest.approx(evaluated.returns[index], rel=1e-12)
        assert len(episode.rewards) == task.episode_steps
        assert len(episode.states) == 1 + len(episode.rewards) * task.n_substeps


def test_it_is_the_true_physics(task: Task, policy: Policy) -> None:
    episode = true_episode(policy, task, seconds=0.2)
    data = mujoco.MjData(task.model)
    data.qpos[:], data.qvel[:] = np.split(episode.states[0], [task.facts.nq])
    observation = np.concatenate([[data.qpos[0], np.cos(data.qpos[1]), np.sin(data.qpos[1])], data.qvel])
    data.ctrl[:] = policy.act(observation[None])[0]
    for step in range(1, policy.facts.action_repeat * task.n_substeps + 1):
        mujoco.mj_step(task.model, data)
        np.testing.assert_allclose(episode.states[step], np.concatenate([data.qpos, data.qvel]), atol=1e-9)


def test_a_folder_s_policy_is_filmed(opengl: None, task: Task, policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path / "policy")
    filmed = film_policy(tmp_path / "policy", task, tmp_path / "policy.mp4", seconds=1.0, fps=20, width=160)
    assert len(filmed.rewards) == 100
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "policy.mp4"))[0] == 21
    told = next(imageio_ffmpeg.read_frames(str(tmp_path / "policy.mp4")))
    assert isinstance(told, dict)
    assert told["size"] == (160, 96 + 40)


def test_a_policy_of_another_task_is_refused(policy: Policy) -> None:
    with pytest.raises(
        MismatchError, match="the policy was trained for cartpole-swingup, with 5 observations and 1 actions;"
    ):
        true_episode(policy, load_task("reacher-easy"))
