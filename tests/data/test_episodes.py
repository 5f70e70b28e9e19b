"""An episode is MuJoCo's own trajectory, to the last bit, and a pure function of its arguments."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from mosim.core.errors import DivergenceError, MosimError
from mosim.data import Episode, PoissonBehaviour, PolicyBehaviour, collect_episode
from mosim.tasks import SuiteTask, Task, load_system, load_task

STEPS = 300
UNSTABLE = """
<mujoco>
  <option timestep="0.05"/>
  <worldbody><body><joint name="spring" type="slide" stiffness="1e6"/><geom size=".1" mass="1"/></body></worldbody>
  <actuator><motor joint="spring" gear="1e9"/></actuator>
</mujoco>
"""


def unbroken(model: mujoco.MjModel, episode: Episode) -> np.ndarray:
    """The states of a plain `mj_step` loop."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = np.split(episode.states[0], [model.nq])
    states = [episode.states[0]]
    for action in episode.actions:
        data.ctrl[:] = action
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
    return np.stack(states)


@pytest.mark.parametrize(
    "name", ["reacher-easy", "acrobot-swingup", "cheetah-run", "hopper-hop", "humanoid-walk", "point_mass-hard"]
)
def test_open_loop_is_an_unbroken_simulation(name: str) -> None:
    task = load_task(name)
    flags = task.model.opt.disableflags
    episode = collect_episode(task, PoissonBehaviour(), STEPS, 4, 2)
    assert task.model.opt.disableflags == flags
    assert episode.states.shape == (STEPS + 1, task.facts.state_size)
    assert episode.actions.shape == (STEPS, task.facts.nu)
    np.testing.assert_array_equal(episode.states, unbroken(task.model_for(episode.context), episode))
    start = task.reset([4, 2])
    np.testing.assert_array_equal(episode.states[0], start.state)
    np.testing.assert_array_equal(episode.context, start.context)


@pytest.mark.parametrize("name", ["cheetah-run", "finger-turn_easy"])
def test_an_episode_does_not_depend_on_those_before(name: str) -> None:
    task = load_task(name)
    forwards = [collect_episode(task, PoissonBehaviour(), 100, 0, index) for index in range(3)]
    fresh = load_task(name)
    for index in (2, 0, 1):
        again = collect_episode(fresh, PoissonBehaviour(), 100, 0, index)
        np.testing.assert_array_equal(again.states, forwards[index].states)
        np.testing.assert_array_equal(again.context, forwards[index].context)


def swing(observation: np.ndarray) -> np.ndarray:
    return np.tanh(observation[:4] * 3)


def test_a_policy_acts_once_a_control_step_on_the_tasks_observation() -> None:
    """The same policy in dm_control's own environment sees and does the same."""
    task = load_task("hopper-stand")
    seen: list[np.ndarray] = []

    def policy(observation: np.ndarray) -> np.ndarray:
        seen.append(observation.copy())
        return swing(observation)

    steps = 30 * task.n_substeps + 1
    episode = collect_episode(task, PolicyBehaviour(policy="a:b"), steps, 0, 3, policy)
    np.testing.assert_array_equal(episode.states, unbroken(task.model, episode))
    assert len(seen) == 31
    held = episode.actions[:-1].reshape(30, task.n_substeps, -1)
    assert (held == held[:, :1]).all()
    assert len(np.unique(held[:, 0], axis=0)) > 20
    task.reset([0, 3])
    assert isinstance(task, SuiteTask)
    environment = task.environment
    for step in range(30):
        time_step = environment.step(held[step, 0])
        observation = np.concatenate([np.ravel(part) for part in time_step.observation.values()])
        np.testing.assert_allclose(seen[step + 1], observation, atol=1e-6)


def test_noise_on_a_policy_is_reproducible_and_stays_in_range() -> None:
    task = load_task("reacher-easy")
    behaviour = PolicyBehaviour(policy="a:b", noise=0.5)
    first, again = (collect_episode(task, behaviour, 400, 0, 0, lambda _: np.zeros(2)) for _ in range(2))
    np.testing.assert_array_equal(first.actions, again.actions)
    assert 0.4 < first.actions.std() < 0.5
    assert np.abs(first.actions).max() <= 1


@pytest.mark.parametrize("action", [np.zeros(3), np.array([np.nan, 0]), 0.0])
def test_a_policy_that_does_not_fit_is_named(action: np.ndarray) -> None:
    with pytest.raises(MosimError, match=r"policy returned .* in episode 0 at physics step 0; it must return 2"):
        collect_episode(load_task("reacher-easy"), PolicyBehaviour(policy="a:b"), 5, 0, 0, lambda _: action)


def test_a_policy_needs_a_task(tmp_path: Path) -> None:
    (tmp_path / "spring.xml").write_text(UNSTABLE)
    system = load_system(str(tmp_path / "spring.xml"))
    with pytest.raises(MosimError, match=r"spring.xml' is not a task; give a task, or use the behaviour poisson"):
        collect_episode(system, PolicyBehaviour(policy="a:b"), 5, 0, 0, lambda _: np.zeros(1))


def test_divergence_is_named_and_not_stored(tmp_path: Path) -> None:
    """MuJoCo resets such a simulation by itself, and goes on from elsewhere."""
    (tmp_path / "spring.xml").write_text(UNSTABLE)
    system = load_system(str(tmp_path / "spring.xml"))
    with pytest.raises(DivergenceError, match=r"'spring', episode 7, physics step \d+: Nan, Inf or huge value"):
        collect_episode(system, PoissonBehaviour(), 200, 0, 7)


def test_episodes_show_their_shapes() -> None:
    task: Task = load_task("reacher-easy")
    episode = collect_episode(task, PoissonBehaviour(), 5, 0, 1)
    assert repr(episode) == "Episode(index=1, states=(6, 4), actions=(5, 2), context=(2,))"
