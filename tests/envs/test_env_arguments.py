"""What an env is given, when it is made and step by step: a mistake is one sentence and changes nothing."""

import inspect
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from mosim.core.errors import MosimError
from mosim.envs import MoSimEnv, MoSimVectorEnv, make_starts
from mosim.envs.vector_env import EnvOptions
from mosim.models import MujocoDynamics
from mosim.tasks import Task, load_task

TASK = "reacher-easy"
NAME = f"MoSimTrue/{TASK}-v0"


@pytest.fixture(scope="module")
def reacher() -> Task:
    return load_task(TASK)


@pytest.fixture
def envs(reacher: Task) -> MoSimVectorEnv:
    envs = MoSimVectorEnv(reacher, MujocoDynamics(reacher), 3)
    envs.reset(seed=0)
    return envs


def test_an_env_takes_the_options_of_a_batch() -> None:
    parameters = inspect.signature(MoSimVectorEnv.__init__).parameters.values()
    own = {each.name: str(each.annotation) for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
    assert {name: str(kind) for name, kind in inspect.get_annotations(EnvOptions).items()} == own


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start": "dta"}, r"start is 'dta'; it must be 'initial', 'data' or 'mixed'\.$"),
        ({"action_repeat": 0}, r"action_repeat is 0; it must be greater than or equal to 1\.$"),
        ({"action_repeat": -3}, r"action_repeat is -3; it must be greater than or equal to 1\.$"),
        ({"device": "gpu"}, r"device is 'gpu'; it must be a torch device that is available here: cpu"),
        ({"first_index": -1}, r"first_index is -1; it must be greater than or equal to 0\.$"),
        ({"width": 0, "render_mode": "rgb_array"}, r"width is 0; it must be greater than or equal to 1\.$"),
        ({"ending": "never"}, r"ending is 'never'; it must be callable\.$"),
        ({"checkpoint": 3}, r"checkpoint is 3; it must be a path\.$"),
        ({"data": "somewhere"}, r"data='somewhere' needs start='data' or 'mixed'; start='initial' uses no data\.$"),
        ({"start": "data", "starts": load_task}, r"start='data' and starts both set where episodes start; give one"),
    ],
)
def test_an_option_that_is_not_allowed_is_named(options: dict[str, Any], sentence: str) -> None:
    for make in (gymnasium.make, lambda name, **given: gymnasium.make_vec(name, num_envs=2, **given)):
        with pytest.raises(MosimError, match=sentence):
            make(NAME, **options)


@pytest.mark.parametrize(("steps", "demand"), [(0, "greater than or equal to 1"), (2.5, "a whole number")])
def test_a_limit_on_steps_that_is_not_allowed_is_named(steps: float, demand: str) -> None:
    # Gymnasium's `make` takes the argument itself.
    with pytest.raises(MosimError, match=rf"max_episode_steps is {steps}; it must be {demand}\.$"):
        gymnasium.make_vec(NAME, num_envs=2, max_episode_steps=steps)


def test_an_unknown_option_is_told_with_those_that_there_are() -> None:
    sentence = (
        r"^make_env: unknown argument 'chekpoint'; allowed are: action_repeat, checkpoint, data, device, ending, "
        r"evaluator, first_index, guards, height, limits, max_episode_steps, render_mode, start, starts, task, width\.$"
    )
    with pytest.raises(MosimError, match=sentence):
        gymnasium.make(f"MoSim/{TASK}-v0", chekpoint="runs")
    with pytest.raises(MosimError, match=r"make_vector_env: unknown argument 'horizn'; allowed are: .*num_envs"):
        gymnasium.make_vec(NAME, num_envs=2, horizn=10)


def test_a_batch_has_an_env_at_least() -> None:
    with pytest.raises(MosimError, match=r"^make_vector_env: num_envs is 0; it must be greater than or equal to 1\.$"):
        gymnasium.make_vec(NAME, num_envs=0)


def test_the_classes_check_as_the_names_do(reacher: Task, capfd: pytest.CaptureFixture[str]) -> None:
    dynamics = MujocoDynamics(reacher)
    unknown: dict[str, Any] = {"horizn": 3}
    with pytest.raises(MosimError, match=r"^MoSimVectorEnv: num_envs is -1; it must be"):
        MoSimVectorEnv(reacher, dynamics, -1)
    with pytest.raises(MosimError, match=r"^MoSimVectorEnv: unknown argument 'horizn'; allowed are: action_rep"):
        MoSimVectorEnv(reacher, dynamics, 2, **unknown)
    with pytest.raises(MosimError, match=r"^MoSimEnv: seed is -1; it must be"):
        MoSimEnv(reacher, dynamics, seed=-1)
    with pytest.raises(MosimError, match=r"^MoSimVectorEnv: task is 'reacher-easy'; it must be an instance of Task"):
        MoSimVectorEnv(TASK, dynamics)  # pyright: ignore[reportArgumentType]
    assert capfd.readouterr().err == "", "what was never made has nothing to close"


def test_starts_of_an_unknown_kind_or_without_states_are_refused(reacher: Task) -> None:
    wrong: Any = "dta"
    with pytest.raises(MosimError, match=r"make_starts: kind is 'dta'; it must be 'initial', 'data' or 'mixed'"):
        make_starts(wrong, reacher)
    with pytest.raises(MosimError, match="'mixed' need the states of a dataset"):
        make_starts("mixed", reacher)


@pytest.mark.parametrize("shape", [(3, 1), (1, 2), (2,), (), (3, 2, 1), (2, 3)])
def test_actions_of_another_shape_are_refused(envs: MoSimVectorEnv, shape: tuple[int, ...]) -> None:
    before = envs.snapshot()
    with pytest.raises(
        MosimError, match=r"the action has shape .*; it must have the shape \(num_envs, nu\), here \(3, 2\)\.$"
    ):
        envs.step(np.zeros(shape, np.float32))
    np.testing.assert_equal(envs.snapshot(), before)


@pytest.mark.parametrize("shape", [(1,), (1, 2), ()])
def test_the_action_of_one_env_has_one_shape(reacher: Task, shape: tuple[int, ...]) -> None:
    env = MoSimEnv(reacher, MujocoDynamics(reacher), 0)
    env.reset()
    with pytest.raises(MosimError, match=r"the action has shape .*; it must have the shape \(nu,\), here \(2,\)\.$"):
        env.step(np.zeros(shape, np.float32))


def test_an_action_that_is_no_number_is_the_caller_s_mistake_and_no_divergence(envs: MoSimVectorEnv) -> None:
    before, actions = envs.snapshot(), np.zeros((3, 2), np.float32)
    actions[1, 0] = np.nan
    with pytest.raises(MosimError, match=r"the action of env 1 is NaN in ctrl\[0\]; actions must not be NaN\.$"):
        envs.step(actions)
    np.testing.assert_equal(envs.snapshot(), before)
    with pytest.raises(MosimError, match="the action has dtype <U1; it must contain real numbers"):
        envs.step(np.full((3, 2), "a"))
    assert envs.divergences == 0


def test_the_action_of_an_env_that_is_reset_may_be_anything(reacher: Task) -> None:
    envs = MoSimVectorEnv(reacher, MujocoDynamics(reacher), 2, max_episode_steps=1)
    envs.reset(seed=0)
    envs.step(np.zeros((2, 2), np.float32))
    assert envs.ended.all()
    observation, _, terminated, _, info = envs.step(np.full((2, 2), np.nan))
    assert np.isfinite(observation).all()
    assert not terminated.any()
    assert info == {}


def test_lists_tensors_and_whole_numbers_are_actions_too(envs: MoSimVectorEnv) -> None:
    for actions in ([[0, 0]] * 3, torch.zeros(3, 2), np.zeros((3, 2), np.int64)):
        given: Any = actions
        assert envs.step(given)[0].shape == (3, 6)


def test_an_env_without_a_seed_of_its_own_goes_on(reacher: Task) -> None:
    envs, plain = (MoSimVectorEnv(reacher, MujocoDynamics(reacher), 3) for _ in range(2))
    envs.reset(seed=7)
    seeded, _ = envs.reset(seed=[1, None, 3])
    plain.reset(seed=7)
    np.testing.assert_array_equal(seeded[1], plain.reset()[0][1])
    np.testing.assert_array_equal(seeded[0], plain.reset(seed=1)[0][0])
    np.testing.assert_array_equal(seeded[2], plain.reset(seed=3)[0][2])


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        ([1, 2], "2 seeds are given for 3 envs; give one for all, or one or None for each"),
        ([1, 2, 3, 4], "4 seeds are given for 3 envs"),
        ([1, 2, -3], r"-3 is not a seed; a seed is a whole number from 0 to 4294967295, or None\.$"),
        (2**32, "4294967296 is not a seed"),
        (1.5, r"1\.5 is not a seed"),
        ("1", "'1' is not a seed"),
        ([True, 2, 3], "True is not a seed"),
    ],
)
def test_seeds_that_are_none_are_refused(envs: MoSimVectorEnv, seed: Any, sentence: str) -> None:
    before = envs.snapshot()
    with pytest.raises(MosimError, match=sentence):
        envs.reset(seed=seed)
    np.testing.assert_equal(envs.snapshot(), before)


def test_an_unknown_option_of_a_reset_is_refused(envs: MoSimVectorEnv) -> None:
    before = envs.snapshot()
    with pytest.raises(MosimError, match=r"^reset: unknown option 'reset_msk'; allowed is: reset_mask\.$"):
        envs.reset(options={"reset_msk": np.ones(3, bool)})
    np.testing.assert_equal(envs.snapshot(), before)
