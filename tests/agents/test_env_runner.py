"""Our batched runner against RLlib's own, over the same envs, weights and random numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from mosim.agents import PPORecipe, load_policy, save_policy
from mosim.agents.rllib.algorithm import make_algorithm
from mosim.agents.rllib.env_runner import BatchedEnvRunner
from mosim.agents.rllib.export import export_policy
from mosim.agents.rllib.observation_filter import observation_filter
from mosim.core.random_numbers import seed_everything
from mosim.tasks import load_task

RECIPE = PPORecipe(
    num_envs=3, rollout_fragment_length=30, minibatch_size=16, num_epochs=1, hidden=(8, 5), max_episode_steps=25
)

pytestmark = pytest.mark.usefixtures("ray_of_two")


@pytest.fixture(scope="module")
def algorithm(ray_of_two: None):
    made = make_algorithm(RECIPE, "reacher-easy", "true")
    yield made
    made.stop()


def test_the_episodes_are_those_of_rllibs_own_runner(algorithm: Any) -> None:
    kinds: tuple[Any, ...] = (BatchedEnvRunner, SingleAgentEnvRunner)
    runners = [kind(config=algorithm.config, worker_index=0) for kind in kinds]
    for runner in runners:
        runner.module.set_state(algorithm.get_module(DEFAULT_MODULE_ID).get_state())
    for _ in range(2):
        sampled = []
        for runner in runners:
            seed_everything(1)
            sampled.append(runner.sample(explore=True))
        ours, theirs = ({key(episode): episode for episode in episodes} for episodes in sampled)
        assert ours.keys() == theirs.keys()
        assert len(ours) > RECIPE.num_envs  # Some episodes ended, after 25 actions.
        for start, episode in ours.items():
            other = theirs[start]
            assert (episode.is_terminated, episode.is_truncated) == (other.is_terminated, other.is_truncated)
            np.testing.assert_allclose(episode.get_observations(), other.get_observations(), atol=1e-6)
            np.testing.assert_allclose(episode.get_actions(), other.get_actions(), atol=1e-6)
            np.testing.assert_allclose(episode.get_rewards(), other.get_rewards())
            for name in (Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS):
                np.testing.assert_allclose(
                    episode.get_extra_model_outputs(name), other.get_extra_model_outputs(name), atol=1e-5
                )
    metrics = [runner.get_metrics() for runner in runners]
    for name in ("episode_return_mean", "episode_len_mean", "num_env_steps_sampled", "num_episodes"):
        assert metrics[0][name].peek() == pytest.approx(metrics[1][name].peek(), rel=1e-6), name


def key(episode: SingleAgentEpisode) -> tuple[int, bytes]:
    """Tells episodes apart by their length and where they start."""
    return len(episode), np.round(episode.get_observations(0), 4).tobytes()


def test_an_exported_policy_acts_as_rllibs_module_and_connectors(algorithm: Any, tmp_path) -> None:
    algorithm.train()
    task = load_task("reacher-easy")
    save_policy(export_policy(algorithm, RECIPE, task), tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    assert policy.facts.action_repeat == RECIPE.action_repeat
    runner = algorithm.env_runner
    raw = np.random.default_rng(0).normal(0, 2, (20, task.observation_size)).astype(np.float32)
    episodes = []
    for row in raw:
        episodes.append(
            SingleAgentEpisode(
                observation_space=runner.env.single_observation_space, action_space=runner.env.single_action_space
            )
        )
        episodes[-1].add_env_reset(observation=row)
    common = {"rl_module": runner.module, "episodes": episodes, "explore": False, "shared_data": {}}
    batch = runner._env_to_module(batch={}, **common)
    with torch.no_grad():
        output = runner.module.forward_inference(batch)
    to_env = runner._module_to_env(batch=output, **common)
    expected = np.stack(to_env[Columns.ACTIONS_FOR_ENV])
    np.testing.assert_allclose(policy.act(raw), expected, atol=1e-6)
    np.testing.assert_allclose(policy.act(raw[0]), expected[0], atol=1e-6)
    assert observation_filter(algorithm).seen.count > 0
    assert len(np.unique(expected, axis=0)) > 1
