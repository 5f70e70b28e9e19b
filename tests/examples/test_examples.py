"""The examples run as a user runs them; what is easily got wrong in them is right."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.envs import MoSimVectorEnv
from mosim.models import MujocoDynamics
from mosim.tasks import load_task
from mosim.training import Recipe, Trainer, TrainingData

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
TASK = "reacher-easy"

FEW = {
    "cleanrl_ppo": ["--num-envs", "4", "--num-steps", "16", "--minibatch-size", "32", "--update-epochs", "2"],
    "stable_baselines3_sac": ["--num-envs", "4", "--learning-starts", "40", "--gradient-steps", "1"],
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was hardly trained."""
    task, out = load_task(TASK), tmp_path_factory.mktemp("simulator")
    episodes = [collect_episode(task, PoissonBehaviour(), 200, 0, index) for index in range(4)]
    network = {"width": 16, "depth": 1}
    stages = [{"name": "a", "learns": ["predictor"], "steps": 20, "batch_size": 64}]
    recipe = Recipe.model_validate({"model": {"inertia": network, "bias": network}, "stages": stages})
    data = TrainingData.of(Trajectories.of(task.facts, episodes), "test")
    Trainer(system=TASK, recipe=recipe, data=data, out=out).run(lambda report: None)
    return out


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def true_return(said: str, episodes: int) -> float:
    found = re.search(rf"^true return (\d+) \+- \d+ over {episodes} episodes$", said, re.MULTILINE)
    assert found, said
    return float(found[1])


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(FEW))
def test_an_example_trains_in_a_simulator_and_is_evaluated_in_the_true_task(name: str, simulator: Path) -> None:
    said = run(
        name, "--checkpoint", str(simulator), "--control-steps", "1200", "--eval-episodes", "2", *FEW[name]
    )  # fmt: skip
    assert 0 <= true_return(said, 2) <= 1000


def test_every_example_is_run() -> None:
    elsewhere = {"leaderboard_entry"}  # In tests/cli/test_leaderboard.py, with the commands around it.
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(FEW) | elsewhere


def test_advantages_end_where_episodes_do_and_a_cut_is_worth_what_would_have_followed() -> None:
    gamma, decay = 0.5, 0.8
    rewards = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [0.0, 0.0, 4.0], [3.0, 3.0, 8.0]])
    values = torch.tensor([[10.0] * 3, [20.0] * 3, [40.0] * 3, [80.0] * 3, [160.0] * 3])
    ends = torch.zeros(4, 3)
    # The first env's episode ends and the second's is cut by the second step; the third step resets both.
    ends[1, 0] = 1.0
    cuts = torch.zeros(4, 3)
    cuts[1, 1] = 1.0
    found = example("cleanrl_ppo").estimated(rewards, values, ends, cuts, gamma, decay)
    last = 2.0 - 20.0, 2.0 + gamma * 40.0 - 20.0
    following = [1.0 + gamma * 20.0 - 10.0 + gamma * decay * each for each in last]
    torch.testing.assert_close(found[:2, :2], torch.tensor([following, last]))
    steps = zip(rewards[:, 2], values[:-1, 2], values[1:, 2], strict=True)
    errors = [reward + gamma * after - before for reward, before, after in steps]
    whole = sum((gamma * decay) ** step * float(error) for step, error in enumerate(errors))
    assert float(found[0, 2]) == pytest.approx(whole)
    torch.testing.assert_close(found[3, :2], torch.full((2,), 3.0 + gamma * 160.0 - 80.0))


def make(max_episode_steps: int = 6) -> MoSimVectorEnv:
    """Three envs; the episode of one whose shoulder has been pushed left ends there."""
    task = load_task(TASK)
    return MoSimVectorEnv(
        task,
        MujocoDynamics(task),
        3,
        max_episode_steps=max_episode_steps,
        ending=lambda state, evaluation: state[:, 2] < -2.0,
    )


def actions_of(envs: MoSimVectorEnv, steps: int) -> list[np.ndarray]:
    envs.action_space.seed(0)
    actions = [0.1 * envs.action_space.sample() for _ in range(steps)]
    for action in actions:
        action[1, 0] = -1.0
    return actions


def test_stable_baselines3_sees_what_the_batch_does_with_resets_in_the_same_step() -> None:
    plain, envs = make(), make()
    adapter = example("stable_baselines3_sac").BatchVecEnv(envs)
    adapter.seed(5)
    # The seeds of the envs, as Stable-Baselines3 gives them, one an env.
    expected, _ = plain.reset(seed=[5, 6, 7])
    np.testing.assert_array_equal(adapter.reset(), expected)
    kinds = []
    for action in actions_of(plain, 20):
        before = expected
        expected, reward, terminated, truncated, _ = plain.step(action)
        observation, own_reward, ended, infos = adapter.step(action)
        np.testing.assert_array_equal(ended, terminated | truncated)
        np.testing.assert_allclose(own_reward, reward, rtol=1e-6)
        for row in range(3):
            assert infos[row]["TimeLimit.truncated"] == truncated[row]
            if not ended[row]:
                assert "terminal_observation" not in infos[row]
                continue
            kinds.append("ended" if terminated[row] else "cut")
            np.testing.assert_array_equal(infos[row]["terminal_observation"], expected[row])
            assert not np.array_equal(observation[row], before[row])
        if ended.any():
            # The plain batch shows the next episodes' starts a step later, and all of them if it is asked now.
            expected, _ = plain.reset(options={"reset_mask": ended})
        np.testing.assert_array_equal(observation, expected)
    assert {"ended", "cut"} == set(kinds)
    assert kinds.count("ended") > 1


def test_stable_baselines3_keeps_last_observations_and_tells_a_cut_from_an_end() -> None:
    from stable_baselines3 import SAC

    adapter = example("stable_baselines3_sac").BatchVecEnv(make())
    model = SAC("MlpPolicy", adapter, learning_starts=1000, seed=0, policy_kwargs={"net_arch": [4]})
    model.learn(3 * 30)
    buffer: Any = model.replay_buffer
    dones, cuts = buffer.dones[:30], buffer.timeouts[:30]
    assert (cuts <= dones).all()
    assert cuts.sum() > 0
    following, last = buffer.observations[1:30], buffer.next_observations[:29]
    same = (following == last).all(axis=-1)
    np.testing.assert_array_equal(same, dones[:29] == 0)


@pytest.mark.slow
def test_the_loop_learns_the_true_reacher() -> None:
    said = run("cleanrl_ppo", "--checkpoint", "true", "--control-steps", "1200000")
    assert true_return(said, 20) > 300, "uniformly random actions come to 52"
