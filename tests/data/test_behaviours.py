"""What random actions and policies do."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mosim.core.errors import MosimError
from mosim.data import PoissonBehaviour, PolicyBehaviour, collect_episode, resolve_policy
from mosim.data.behaviours import poisson_actions
from mosim.tasks import load_task

REACHER = load_task("reacher-easy")
STEPS = 60_000


def test_holds_are_geometric_and_some_actions_are_zero() -> None:
    behaviour = PoissonBehaviour(mean_hold=5, zero_probability=0.1)
    actions = poisson_actions(behaviour, REACHER.facts, STEPS, np.random.SeedSequence(0))
    changes = np.flatnonzero(np.any(np.diff(actions, axis=0) != 0, axis=1)) + 1
    holds = np.diff(changes)
    drawn = actions[changes]
    zero = np.all(drawn == 0, axis=1)
    # Two zero actions in a row look like one, so of the runs that are seen 0.1 * 0.9 / (1 - 0.1 * 0.1) are zero.
    assert zero.mean() == pytest.approx(0.09 / 0.99, abs=0.01)
    assert not np.any((drawn == 0) & ~zero[:, None])
    moving = holds[~zero[:-1]]
    assert moving.mean() == pytest.approx(5, rel=0.05)
    assert np.mean(moving == 1) == pytest.approx(1 / 5, abs=0.02)
    assert moving.min() == 1
    assert actions.min() >= -1
    assert actions.max() <= 1
    assert drawn[~zero].std() == pytest.approx(1 / np.sqrt(3), rel=0.03)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 300),
    more=st.integers(0, 300),
    mean_hold=st.floats(1, 50),
    zero_probability=st.floats(0, 1),
)
def test_a_shorter_episode_is_a_prefix(
    seed: int, steps: int, more: int, mean_hold: float, zero_probability: float
) -> None:
    behaviour = PoissonBehaviour(mean_hold=mean_hold, zero_probability=zero_probability)
    short, long = (
        poisson_actions(behaviour, REACHER.facts, count, np.random.SeedSequence(seed))
        for count in (steps, steps + more)
    )
    assert short.shape == (steps, 2)
    np.testing.assert_array_equal(short, long[:steps])


def test_zero_outside_a_control_range_is_the_nearest_allowed() -> None:
    facts = REACHER.facts.model_copy(update={"control_lower": (0.5, -1.0), "control_upper": (2.0, 1.0)})
    actions = poisson_actions(PoissonBehaviour(zero_probability=1), facts, 10, np.random.SeedSequence(0))
    np.testing.assert_array_equal(actions, np.tile([0.5, 0.0], (10, 1)))


def test_episodes_and_actions_of_neighbouring_indices_and_seeds_differ() -> None:
    episodes = [
        collect_episode(REACHER, PoissonBehaviour(), 50, seed, index) for seed, index in ((0, 1), (1, 0), (0, 0))
    ]
    for part in ("states", "actions", "context"):
        values = [getattr(episode, part) for episode in episodes]
        assert not any(np.array_equal(values[a], values[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("values", [{"mean_hold": 0.5}, {"zero_probability": 1.5}, {"hold": 3}])
def test_behaviours_refuse_what_makes_no_sense(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PoissonBehaviour.model_validate(values)


@pytest.mark.parametrize(("repeat", "noise"), [(1, 0.0), (4, 0.0), (4, 0.1)])
def test_an_action_is_held_as_long_as_its_policy_says(repeat: int, noise: float) -> None:
    task = load_task("cartpole-swingup")
    seen = []

    def act(observation: np.ndarray) -> np.ndarray:
        seen.append(observation)
        return np.array([0.3 * np.sin(9.0 * len(seen))])

    act.action_repeat = repeat
    steps = 10 * repeat * task.n_substeps
    episode = collect_episode(task, PolicyBehaviour(policy="act", noise=noise), steps, 0, 0, act)
    held = episode.actions.reshape(10, repeat * task.n_substeps)
    assert len(seen) == 10
    np.testing.assert_array_equal(held, np.broadcast_to(held[:, :1], held.shape))
    assert len(np.unique(held[:, 0])) == 10
    alone = collect_episode(task, PolicyBehaviour(policy="act"), steps, 0, 0, lambda observation: observation[:1])
    assert len(np.unique(alone.actions)) == steps // task.n_substeps, "without the attribute, a control step"


def test_of_actions_with_noise_the_most_doubtful_is_taken() -> None:
    task = load_task("cartpole-swingup")
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def doubt(state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        asked.append((state.copy(), actions.copy()))
        return -actions[:, 0]

    def act(observation: np.ndarray) -> np.ndarray:
        return np.array([0.1])

    behaviour = PolicyBehaviour(policy="act", noise=0.5, simulator="simulator", candidates=7)
    steps = 20 * task.n_substeps
    episode = collect_episode(task, behaviour, steps, 0, 0, act, doubt)
    assert len(asked) == 20
    for row, (state, actions) in enumerate(asked):
        assert actions.shape == (7, 1)
        assert np.abs(actions).max() <= 1
        np.testing.assert_array_equal(state, episode.states[row * task.n_substeps])
        assert episode.actions[row * task.n_substeps] == actions.min()
    plain = collect_episode(task, PolicyBehaviour(policy="act", noise=0.5), steps, 0, 0, act)
    assert plain.actions.mean() > episode.actions.mean()


@pytest.mark.parametrize("repeat", [0, -1, 2.5, True])
def test_an_action_repeat_that_makes_no_sense_is_refused(repeat: object) -> None:
    def act(observation: np.ndarray) -> np.ndarray:
        return observation[:1]

    act.action_repeat = repeat
    with pytest.raises(MosimError, match=r"action_repeat is .*; it must be a whole number of 1 or more"):
        collect_episode(load_task("cartpole-swingup"), PolicyBehaviour(policy="act"), 10, 0, 0, act)


def test_policies_resolve_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_policy_module.py").write_text("def push(observation):\n    return observation[:2]\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert resolve_policy("my_policy_module:push")(np.arange(6.0)).tolist() == [0, 1]
    for reference, sentence in {
        "my_policy_module": "not of the form module:Name",
        "my_policy_module:": "not of the form module:Name",
        "no_such_module:push": "module 'no_such_module' cannot be imported",
        "my_policy_module:pull": "has no 'pull'; it must be a policy: a function of an observation",
        "my_policy_module:number": "'my_policy_module:number' must be a policy: a function",
    }.items():
        with pytest.raises(MosimError, match=sentence):
            resolve_policy(reference)
