"""What counts as a divergence: not what a true robot does, but what a simulator without sense predicts."""

from collections import Counter
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.envs import Divergence, MoSimVectorEnv, make_vector_env
from mosim.envs.divergence import state_divergence
from mosim.models import STATE_LIMIT, MujocoDynamics, NeuralSimulator, NeuralSimulatorConfig
from mosim.tasks import Task, load_task
from mosim.training import Recipe, Trainer, TrainingData

TINY_MODEL = {name: {"width": 16, "depth": 1} for name in ("inertia", "bias")}


def random_data(task: Task, episodes: int, steps: int) -> TrainingData:
    drawn = [collect_episode(task, PoissonBehaviour(), steps, 0, index) for index in range(episodes)]
    return TrainingData.of(Trajectories.of(task.facts, drawn), "random")


def pumped(task: Task, steps: int) -> np.ndarray:
    """States of the true robot under the policy that always pushes along, which puts in all the power there is."""
    data, states = mujoco.MjData(task.model), []
    data.qpos[:], data.qvel[:] = np.split(task.reset([1]).state, [task.facts.nq])
    for step in range(steps):
        if step % 4 == 0:
            data.ctrl[:] = np.where(data.actuator_velocity < 0, -1.0, 1.0)
        mujoco.mj_step(task.model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
    return np.stack(states)


@pytest.fixture(scope="module")
def barely_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hopper's simulator after five steps of training."""
    recipe = Recipe.model_validate(
        {"model": TINY_MODEL, "stages": [{"name": "a", "learns": ["predictor"], "steps": 5, "batch_size": 32}]}
    )
    out = tmp_path_factory.mktemp("barely") / "sim"
    data = random_data(load_task("hopper-stand"), 8, 300)
    Trainer(system="hopper-stand", recipe=recipe, data=data, out=out).run(lambda report: None)
    return out


@pytest.mark.parametrize("name", ["cheetah-run", "cartpole-swingup", "hopper-hop"])
def test_the_true_robot_at_full_power_stays_within_what_random_data_allow(name: str) -> None:
    task = load_task(name)
    statistics = random_data(task, 10, 1000).statistics
    limits = NeuralSimulator(task.facts, NeuralSimulatorConfig.model_validate(TINY_MODEL), statistics).limits
    states = torch.from_numpy(pumped(task, 1500)).float()
    speeds = states[:, task.facts.nq :].abs().amax(0) / statistics.velocity_limit
    assert speeds.max() > 1, "beyond the simulator's own velocity limit, which so is no sign of a divergence"
    assert limits.hold(states).all()
    bounded = limits.upper[: task.facts.nq] < STATE_LIMIT
    for joint in task.facts.joints:
        assert bounded[joint.qpos_address] == (joint.limited or joint.name == "rootz")


def test_a_model_without_data_has_the_widest_limits() -> None:
    task = load_task("reacher-easy")
    limits = MujocoDynamics(task).limits
    assert (limits.upper == STATE_LIMIT).all()
    assert not limits.hold(torch.tensor([[0.0, torch.nan, torch.inf, 2e4]], dtype=torch.float64))[0, 1:].any()


def test_what_leaves_its_limits_first_is_named() -> None:
    task = load_task("reacher-easy")
    limits = MujocoDynamics(task).limits
    start = torch.tensor([0.0, 0.0, 0.0, 9e3], dtype=torch.float64)

    def named(*states: list[float]) -> Divergence:
        return state_divergence(task.facts, limits, torch.tensor(states, dtype=torch.float64), start, 7)

    late = named([0, 1, 2, 3], [0, 0, 3e4, 2e4], [np.nan, 9e9, 0, 0])
    assert late[:3] == ("qvel/shoulder", 3e4, 7)
    np.testing.assert_array_equal(late.before, [0, 1, 2, 3])
    assert named([0, 9e9, np.nan, 0]).dimension == "qvel/shoulder"
    assert named([np.nan] * 4).dimension == "qvel/wrist", "which was nearest to its limits before"


def test_a_barely_trained_simulator_diverges_by_name_and_nothing_of_it_is_seen(barely_trained: Path) -> None:
    envs = make_vector_env(8, "hopper-stand", barely_trained, action_repeat=2)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    first_in: Counter[str] = Counter()
    for _ in range(60):
        observation, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
        assert np.isfinite(observation).all()
        assert np.abs(observation).max() < STATE_LIMIT
        assert ((reward >= 0) & (reward <= 2)).all()
        assert envs.limits.hold(envs.state).all()
        for row in np.flatnonzero(info.get("diverged", ())):
            divergence = info["divergence"][row]
            assert terminated[row]
            assert not truncated[row]
            assert envs.limits.hold(torch.from_numpy(divergence.before).float()).all()
            first_in[divergence.dimension] += 1
    assert envs.divergences == first_in.total() > 5
    limited = {f"qpos/{joint.name}" for joint in envs.task.facts.joints if joint.limited}
    assert set(first_in) <= limited


def test_a_reward_that_is_not_finite_is_a_divergence_too() -> None:
    task = load_task("reacher-easy")

    def spoilt(state, action, context, previous):
        evaluation = sound(state, action, context, previous)
        reward = torch.where(torch.arange(3) == 1, torch.nan, evaluation.reward)
        return evaluation if action is None else evaluation._replace(reward=reward)

    sound = task.evaluator()
    envs = MoSimVectorEnv(task, MujocoDynamics(task), 3, evaluator=spoilt)
    envs.reset(seed=0)
    _, reward, terminated, _, info = envs.step(np.zeros((3, 2), np.float32))
    assert terminated.tolist() == [False, True, False]
    assert np.isfinite(reward).all()
    assert info["divergence"][1].dimension == "reward"
