"""What every task promises: one test over the registered ones and over a user's own."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from mosim.core.errors import MosimError
from mosim.envs import MoSimVectorEnv, make_vector_env
from mosim.models import MujocoDynamics
from mosim.tasks import FAMILIES, Task, TaskFamily, batched_tasks, find_system, load_system, load_task, task_names
from own_tasks import Backwards, Home, Nearer, write_slider

BATCH = 4

SUITE = (*batched_tasks(), "ball_in_cup-catch", "fish-swim", "quadruped-walk", "lqr-lqr_2_1")

OWN = {"own_tasks:Backwards": Backwards, "own_tasks:Nearer": Nearer, "own_tasks:Home": Home}


@pytest.fixture(scope="module", autouse=True)
def slider(tmp_path_factory: pytest.TempPathFactory) -> None:
    Home.robot = str(write_slider(tmp_path_factory.mktemp("robot")))


@functools.cache
def loaded(name: str) -> Task:
    return load_task(name, allow_imports=True)


@pytest.fixture(params=(*SUITE, *OWN))
def task(request: pytest.FixtureRequest) -> Task:
    return loaded(request.param)


def batch(task: Task) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States that motion leads to, the actions that do, and the contexts of the episodes."""
    starts = [task.reset([3, index]) for index in range(BATCH)]
    states, contexts = (torch.from_numpy(np.stack(part)) for part in zip(*starts, strict=True))
    lower, upper = np.array(task.facts.control_lower), np.array(task.facts.control_upper)
    actions = torch.from_numpy(np.random.default_rng(0).uniform(lower, upper, (BATCH, task.facts.nu)))
    dynamics = MujocoDynamics(task)
    dynamics.use_contexts(contexts)
    return dynamics.rollout(states, actions.unsqueeze(1).expand(-1, task.n_substeps, -1))[:, -1], actions, contexts


def test_a_seed_determines_a_start(task: Task) -> None:
    first, again, other = task.reset([1, 2]), task.reset([1, 2]), task.reset([1, 3])
    assert first.state.shape == (task.facts.state_size,)
    assert first.context.shape == (task.context_size,) == (len(task.context_names),)
    np.testing.assert_array_equal(first.state, again.state)
    np.testing.assert_array_equal(first.context, again.context)
    assert not np.array_equal(np.concatenate(first), np.concatenate(other))


def test_an_evaluation_has_the_shapes_that_the_task_says(task: Task) -> None:
    states, actions, contexts = batch(task)
    for action in (None, actions):
        observation, reward, terminated = task.evaluator()(states, action, contexts, None)
        assert observation.shape == (BATCH, task.observation_size)
        assert reward.shape == terminated.shape == (BATCH,)
        assert (observation.dtype, reward.dtype, terminated.dtype) == (torch.float64, torch.float64, torch.bool)
        assert torch.isfinite(observation).all()
        assert torch.isfinite(reward).all()


def test_rows_do_not_know_of_one_another(task: Task) -> None:
    states, actions, contexts = batch(task)
    together = task.evaluator()(states, actions, contexts, None)
    for row in range(BATCH):
        part = slice(row, row + 1)
        alone = task.evaluator()(states[part], actions[part], contexts[part], None)
        for ours, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(ours[0], theirs[row], rtol=1e-9, atol=1e-9)


def test_the_fast_evaluation_is_the_exact_one(task: Task) -> None:
    states, actions, contexts = batch(task)
    fast, exact = (each(states, actions, contexts, None) for each in (task.evaluator(), task.exact_evaluator()))
    for ours, theirs in zip(fast, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_a_reward_has_a_gradient_where_the_task_is_differentiable(task: Task) -> None:
    states, actions, contexts = batch(task)
    states.requires_grad_()
    if not task.differentiable:
        with pytest.raises(MosimError, match="is evaluated by MuJoCo, so its reward has no gradient"):
            task.evaluator()(states, actions, contexts, None)
        return
    observation, reward, _ = task.evaluator()(states, actions, contexts, None)
    (gradient,) = torch.autograd.grad(observation.sum() + reward.sum(), states)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


def test_control_steps_are_whole_physics_steps(task: Task) -> None:
    assert task.n_substeps * task.facts.timestep == pytest.approx(task.control_timestep, rel=1e-9)
    assert task.episode_steps is None or task.episode_steps > 0


def test_it_is_loaded_again_by_its_source(task: Task) -> None:
    assert load_system(task.source, allow_imports=True).facts == task.facts == task.reload().facts


@pytest.mark.parametrize("name", OWN)
def test_a_task_of_one_s_own_is_stepped_in_an_env(name: str) -> None:
    envs = make_vector_env(2, name, "true")
    assert isinstance(envs, MoSimVectorEnv)
    envs.reset(seed=0)
    ended = np.zeros(2, bool)
    for _ in range(60):
        state = envs.state.clone()
        _, reward, terminated, truncated, _ = envs.step(np.full((2, envs.task.facts.nu), 0.7, np.float32))
        del state
        ended |= terminated | truncated
        assert np.isfinite(reward).all()
    assert ended.all() == (envs.task.episode_steps is not None)


def test_the_users_functions_are_those_that_are_called() -> None:
    task = loaded("own_tasks:Home")
    states = torch.tensor([[0.0, 1.0], [0.5, 0.0], [-1.5, 0.0]], dtype=torch.float64)
    observation, reward, terminated = task.evaluator()(states, torch.zeros(3, 1), torch.zeros(3, 0), None)
    assert torch.equal(observation, states)
    torch.testing.assert_close(reward, torch.exp(-(states[:, 0] ** 2)))
    assert terminated.tolist() == [False, False, True]
    assert (task.name, task.facts.name, task.n_substeps) == ("Home", "slider", 4)


def test_a_class_is_imported_where_the_user_names_it_alone() -> None:
    with pytest.raises(MosimError, match="'own_tasks:Home' is a class, whose module would run; name it on the command"):
        load_task("own_tasks:Home")
    with pytest.raises(MosimError, match=r"is of the class own_tasks:Home, .* if you trust it, add --task"):
        find_system(None, "own_tasks:Home", "--task", "the simulator")
    assert find_system("own_tasks:Home", "own_tasks:Home", "--task", "the simulator").source == "own_tasks:Home"
    for name, sentence in {
        "own_tasks:Away": "has no 'Away'; it must be a task",
        "own_tasks:SLIDER": "must be a task: a subclass of mosim.tasks.Task",
        "no_such_module:Home": "module 'no_such_module' cannot be imported",
        "mosim.tasks:TensorTask": "does not define observe, reward",
    }.items():
        with pytest.raises(MosimError, match=sentence):
            load_task(name, allow_imports=True)


class Wrong(Backwards):
    def reward(self, state: torch.Tensor, action: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return state


class Between(Backwards):
    control_timestep = 0.015


class Doubtful(Backwards):
    def terminated(self, state: torch.Tensor, action: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return state[:, 0]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Wrong, r"Wrong: reward returned \(2, 18\) for a batch of 2; it must be a tensor of shape \(batch,\)"),
        (Between, r"control_timestep is 0\.015 s; it must be a multiple of the physics step, 0\.01 s"),
        (Doubtful, r"terminated returned torch\.float64; it must be torch\.bool"),
    ],
)
def test_what_is_wrong_with_a_class_is_said_when_it_is_loaded(kind: type[Task], sentence: str) -> None:
    with pytest.raises(MosimError, match=sentence):
        kind()  # pyright: ignore[reportCallIssue]


def test_another_family_is_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(FAMILIES, "own", TaskFamily(lambda: ("cart-home",), lambda name: Home()))
    assert task_names("own") == ("cart-home",)
    assert "cart-home" in task_names()
    assert load_task("cart-home").name == "Home"
