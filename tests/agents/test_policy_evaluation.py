import numpy as np
import pytest
from dm_control import suite

from mosim.agents import EVAL_SEED, evaluate_policy, random_return
from mosim.models import Persistence
from mosim.tasks import load_task


def steer(observations: np.ndarray) -> np.ndarray:
    """A crude but deterministic policy of any observation."""
    return np.sin(3.0 * observations[:, :1] + observations[:, 1:2])


@pytest.mark.parametrize("repeat", [1, 2])
def test_a_judgement_is_dm_controls_own_loop(repeat: int) -> None:
    evaluation = evaluate_policy(steer, load_task("cartpole-balance"), episodes=3, action_repeat=repeat)
    for index, ours in enumerate(evaluation.returns):
        environment = suite.load("cartpole", "balance", task_kwargs={"random": 0})
        environment.task.random.seed(np.random.SeedSequence([EVAL_SEED, index, 0]).generate_state(8))
        step, total = environment.reset(), 0.0
        while not step.last():
            observation = np.concatenate([np.ravel(part) for part in step.observation.values()])
            action = steer(observation[None].astype(np.float32))[0]
            for _ in range(repeat):
                if not step.last():
                    step = environment.step(action)
                    total += step.reward
        assert ours == pytest.approx(total, rel=1e-4)
    assert evaluation.mean == pytest.approx(evaluation.returns.mean())
    assert len(set(evaluation.returns)) == 3


def test_random_actions_are_evaluated_in_the_same_episodes_and_repeatably() -> None:
    task = load_task("reacher-easy")
    first, second = random_return(task, episodes=4), random_return(task, episodes=4)
    np.testing.assert_array_equal(first.returns, second.returns)
    assert not np.array_equal(first.returns, random_return(task, episodes=4, seed=1).returns)
    assert 0 <= first.mean < 300


def test_other_dynamics_may_be_evaluated_in() -> None:
    task = load_task("reacher-easy")
    still = evaluate_policy(
        lambda observations: np.zeros((len(observations), 2)), task, 4, dynamics=Persistence(task.facts)
    )
    # Nothing moves, so an episode is worth all or nothing.
    assert set(still.returns) <= {0.0, 1000.0}
