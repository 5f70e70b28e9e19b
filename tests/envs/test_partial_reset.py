import numpy as np
import pytest

from mosim.core.errors import MosimError
from mosim.envs import MoSimVectorEnv
from mosim.models import MujocoDynamics
from mosim.tasks import load_task

STEPS = 12


def make(max_episode_steps: int = 5) -> MoSimVectorEnv:
    task = load_task("reacher-easy")
    return MoSimVectorEnv(task, MujocoDynamics(task), 3, max_episode_steps=max_episode_steps)


def test_a_mask_starts_the_named_envs_alone_and_they_are_not_reset_again() -> None:
    envs, whole = make(), make()
    envs.reset(seed=3)
    whole.reset(seed=3)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(STEPS)]
    for action in actions[:5]:
        before, _, _, truncated, _ = envs.step(action)
        whole.step(action)
    assert truncated.all()
    mask = np.array([True, False, True])
    after, info = envs.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(after[1], before[1])
    assert not np.any(np.all(after[mask] == before[mask], axis=1))
    assert envs.ended.tolist() == [False, True, False]
    assert info == {}
    # What the next step's reset would have been, one step earlier.
    np.testing.assert_array_equal(whole.step(actions[5])[0][mask], after[mask])
    first = envs.step(actions[6])
    np.testing.assert_array_equal(first[0][mask], whole.step(actions[6])[0][mask])
    assert (first[1][1], first[3].any()) == (0.0, False)


def test_a_seed_with_a_mask_is_that_of_the_named_envs() -> None:
    envs, other = make(), make()
    envs.reset(seed=1)
    mask = np.array([False, True, False])
    seeded, _ = envs.reset(seed=2, options={"reset_mask": mask})
    np.testing.assert_array_equal(seeded[mask], other.reset(seed=2)[0][mask])
    np.testing.assert_array_equal(seeded[~mask], other.reset(seed=1)[0][~mask])
    again, _ = envs.reset()
    assert not np.any(np.all(again == seeded, axis=1))


def test_a_mask_of_no_env_does_nothing() -> None:
    envs = make()
    observation, _ = envs.reset(seed=1)
    untouched, _ = envs.reset(options={"reset_mask": np.zeros(3, bool)})
    np.testing.assert_array_equal(untouched, observation)


@pytest.mark.parametrize("mask", [[True, False, True], np.ones(2, bool), np.ones(3)])
def test_what_is_no_mask_is_told(mask) -> None:
    with pytest.raises(MosimError, match="an array of 3 bools"):
        make().reset(options={"reset_mask": mask})
