"""One contract for every task: dm_control's own numbers, for states set from outside."""

import warnings

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite

from mosim.core.errors import UnknownNameError
from mosim.tasks import Task, load_system, load_task

TASKS = (
    "reacher-easy", "reacher-hard", "acrobot-swingup", "cheetah-run", "hopper-hop", "hopper-stand", "humanoid-walk",
    "cartpole-balance", "cartpole-swingup", "walker-walk", "pendulum-swingup",
    "finger-turn_easy", "fish-swim", "ball_in_cup-catch", "manipulator-bring_ball",
)  # fmt: skip
WITH_CONTEXT = {
    "reacher-easy": 2,
    "reacher-hard": 2,
    "finger-turn_easy": 2,
    "fish-swim": 3,
    "manipulator-bring_ball": 4,
}
CONTROL_STEPS = 60
"""Long enough for hopper to fall on its touch sensors."""
TOLERANCE = 1e-6


def dm_control_environment(name: str, seed: list[int]):
    domain, task = name.split("-", maxsplit=1)
    random = np.random.RandomState(np.random.SeedSequence(seed).generate_state(8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return suite.load(domain, task, task_kwargs={"random": random})


def flatten(observation: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in observation.values()])


def state_of(data: mujoco.MjData) -> np.ndarray:
    return np.concatenate([data.qpos, data.qvel])


def row(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array)[None])


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


def test_facts_are_those_of_the_model(task: Task) -> None:
    environment = dm_control_environment(task.name, [0])
    model, facts = environment.physics.model.ptr, task.facts
    assert (facts.nq, facts.nv, facts.nu, facts.timestep) == (model.nq, model.nv, model.nu, model.opt.timestep)
    assert len(facts.state_names) == facts.state_size == model.nq + model.nv + model.na
    assert len(set(facts.state_names)) == facts.state_size
    specification = environment.action_spec()
    np.testing.assert_array_equal(facts.control_lower, specification.minimum)
    np.testing.assert_array_equal(facts.control_upper, specification.maximum)
    assert task.control_timestep == environment.control_timestep()
    assert task.n_substeps * facts.timestep == pytest.approx(task.control_timestep)
    assert task.episode_steps == 1000
    assert task.context_size == WITH_CONTEXT.get(task.name, 0)


def test_resets_are_dm_controls_and_pure(task: Task) -> None:
    first = task.reset([3, 5])
    other = task.reset([3, 6])
    assert not np.array_equal(first.state, other.state) or not np.array_equal(first.context, other.context)
    environment = dm_control_environment(task.name, [3, 5])
    # dm_control's constructor draws nothing, so the first reset is that of the seed.
    environment.reset()
    np.testing.assert_array_equal(first.state, state_of(environment.physics.data.ptr))
    again = task.reset([3, 5])
    np.testing.assert_array_equal(first.state, again.state)
    np.testing.assert_array_equal(first.context, again.context)


def test_exact_evaluation_is_dm_controls_stream(task: Task) -> None:
    """Observation, reward and end of every step of a real environment, from states alone."""
    seed = [1, 2]
    context = task.reset(seed).context
    environment = dm_control_environment(task.name, seed)
    evaluate = task.exact_evaluator()
    random = np.random.default_rng(0)
    time_step = environment.reset()
    physics = environment.physics
    evaluation = evaluate(row(state_of(physics.data.ptr)), None, row(context), None)
    np.testing.assert_allclose(evaluation.observation[0], flatten(time_step.observation), atol=TOLERANCE)
    for _ in range(CONTROL_STEPS):
        action = random.uniform(task.facts.control_lower, task.facts.control_upper)
        before = previous_substate(environment, action, task.n_substeps)
        time_step = environment.step(action)
        state = state_of(physics.data.ptr)
        disturb(task, random)
        evaluation = evaluate(row(state), row(action), row(context), row(before))
        np.testing.assert_allclose(evaluation.observation[0], flatten(time_step.observation), atol=TOLERANCE)
        assert evaluation.reward.item() == pytest.approx(time_step.reward, abs=TOLERANCE)
        assert evaluation.terminated.item() is False


def previous_substate(environment, action: np.ndarray, n_substeps: int) -> np.ndarray:
    """The state one physics step before the end of a control step that is yet to be made."""
    model = environment.physics.model.ptr
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = environment.physics.data.qpos, environment.physics.data.qvel
    data.qacc_warmstart[:] = environment.physics.data.qacc_warmstart
    data.ctrl[:] = action
    for _ in range(n_substeps - 1):
        mujoco.mj_step(model, data)
    return state_of(data)


def disturb(task: Task, random: np.random.Generator) -> None:
    """Leaves another episode's state and context in the task's scratch space."""
    task.reset([9, int(random.integers(1000))])


def test_states_and_contexts_are_set_row_by_row(task: Task) -> None:
    """A batch says of each row what it says of the row alone."""
    starts = [task.reset([7, row]) for row in range(3)]
    states, contexts = (torch.from_numpy(np.stack(part)) for part in zip(*starts, strict=True))
    actions = torch.zeros(3, task.facts.nu, dtype=torch.float64)
    evaluate = task.evaluator()
    together = evaluate(states, actions, contexts, states)
    assert together.observation.shape == (3, task.observation_size)
    assert together.observation.dtype == torch.float64
    assert torch.isfinite(together.observation).all()
    assert ((together.reward >= 0) & (together.reward <= 1)).all()
    for index in (2, 0, 1):
        state, action, context = (part[index : index + 1] for part in (states, actions, contexts))
        alone = evaluate(state, action, context, state)
        torch.testing.assert_close(alone.observation[0], together.observation[index], rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(alone.reward[0], together.reward[index], rtol=0, atol=TOLERANCE)
    if task.context_size:
        swapped = evaluate(states, actions, contexts.roll(1, 0), states)
        assert not torch.allclose(swapped.observation, together.observation)


def test_physics_that_depend_on_the_context_have_their_own_model() -> None:
    """point_mass-hard draws the actuators' directions anew each episode, in the model's tendons."""
    task = load_task("point_mass-hard")
    assert task.context_in_dynamics
    first, second = (task.reset([0, row]).context for row in (0, 1))
    models = [task.model_for(context) for context in (first, second)]
    assert not np.array_equal(models[0].wrap_prm, models[1].wrap_prm)
    np.testing.assert_array_equal(models[0].wrap_prm, task.model_for(first).wrap_prm)
    # The receptacle's place, which random actions do not reach within the steps that are looked at.
    assert load_task("manipulator-insert_peg").context_in_dynamics
    shared = load_task("reacher-easy")
    assert not shared.context_in_dynamics
    assert shared.model_for(shared.reset([0]).context) is shared.model


def test_unknown_tasks_list_near_names() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'reacher-eazy'; did you mean reacher-easy"):
        load_system("reacher-eazy")
