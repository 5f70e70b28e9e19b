"""One contract for every batched evaluator: the exact one's numbers, for states from everywhere, and gradients."""

import functools
import math

import mujoco
import numpy as np
import pytest
import torch
from dm_control.utils import rewards
from mujoco import rollout

from mosim.tasks import Evaluation, SuiteTask, batched_tasks, load_task
from mosim.tasks.suite.tolerance import Sigmoid, tolerance

STATES = 10_000
EPISODES, STEPS = 40, 125
"""Of random motion: half of the states; the other half are random."""
TOLERANCE = 1e-5
FORCES = ("hopper-hop", "hopper-stand")
"""Tasks that observe forces, which MuJoCo computes."""
STEPWISE = ("reacher", "pendulum", "sparse")
"""Tasks whose reward is 0 or 1, by part of their names."""
TENSOR_TASKS = sorted({*batched_tasks()} - {*FORCES})
SMOOTH = [name for name in TENSOR_TASKS if not any(part in name for part in STEPWISE)]


@functools.cache
def loaded(name: str) -> SuiteTask:
    task = load_task(name)
    assert isinstance(task, SuiteTask)
    return task


@functools.cache
def samples(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, actions and contexts: motion under random actions, motion disturbed, and the reference pose disturbed."""
    task, random = loaded(name), np.random.default_rng(0)
    facts = task.facts
    starts = [task.reset([0, episode]) for episode in range(EPISODES)]
    actions = random.uniform(facts.control_lower, facts.control_upper, (STATES, facts.nu))
    moved, _ = rollout.rollout(
        task.model,
        mujoco.MjData(task.model),
        initial_state=np.stack([np.concatenate([[0.0], start.state]) for start in starts]),
        control=actions[: EPISODES * STEPS].reshape(EPISODES, STEPS, facts.nu),
    )
    motion = moved[..., 1 : 1 + facts.state_size].reshape(-1, facts.state_size)
    rest = np.concatenate([task.model.qpos0, np.zeros(facts.nv)])
    quarter = STATES // 4
    noise = random.normal(size=(2, quarter, facts.state_size))
    disturbed = motion[:quarter] + random.choice([0.1, 1, 3], (quarter, 1)) * noise[0]
    upright = rest + random.choice([0.02, 0.3], (quarter, 1)) * noise[1]
    contexts = np.stack([start.context for start in starts])[random.integers(0, EPISODES, STATES)]
    states = np.concatenate([motion, disturbed, upright])
    return torch.from_numpy(states), torch.from_numpy(actions), torch.from_numpy(contexts)


def assert_agree(one: Evaluation, other: Evaluation, tolerance: float) -> None:
    torch.testing.assert_close(one.observation, other.observation, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.reward, other.reward, rtol=0, atol=tolerance)
    assert torch.equal(one.terminated, other.terminated)


@pytest.mark.parametrize("name", batched_tasks())
def test_batched_evaluation_is_the_exact_one(name: str) -> None:
    task = loaded(name)
    states, actions, contexts = samples(name)
    assert states.shape == (STATES, task.facts.state_size)
    fast, exact = (each(states, actions, contexts, None) for each in (task.evaluator(), task.exact_evaluator()))
    assert fast.observation.dtype == fast.reward.dtype == torch.float64
    assert_agree(fast, exact, TOLERANCE)
    assert exact.reward.std() > 0


@pytest.mark.parametrize("name", batched_tasks())
def test_the_start_of_an_episode_has_no_force(name: str) -> None:
    task = loaded(name)
    states, _, contexts = (part[::500] for part in samples(name))
    fast, exact = (each(states, None, contexts, None) for each in (task.evaluator(), task.exact_evaluator()))
    assert_agree(fast, exact, TOLERANCE)


@pytest.mark.parametrize("name", batched_tasks())
def test_rows_do_not_see_each_other_and_float32_will_do(name: str) -> None:
    evaluate = loaded(name).evaluator()
    states, actions, contexts = (part[::500] for part in samples(name))
    together = evaluate(states, actions, contexts, states)
    for index in range(len(states)):
        state, action, context = (part[index : index + 1] for part in (states, actions, contexts))
        alone = evaluate(state, action, context, state)
        assert_agree(alone, Evaluation(*(part[index : index + 1] for part in together)), 1e-12)
    single = evaluate(states.float(), actions.float(), contexts.float(), None)
    rounded = evaluate(states.float().double(), actions.float().double(), contexts.float().double(), None)
    assert_agree(single, rounded, 1e-12)


@pytest.mark.parametrize("name", TENSOR_TASKS)
def test_all_is_computed_on_the_state_s_device(name: str) -> None:
    """The meta device, like any other, refuses to be mixed with the CPU."""
    states, actions, contexts = (part[:3].to("meta") for part in samples(name))
    for action in (actions, None):
        evaluation = loaded(name).evaluator()(states, action, contexts, None)
        assert {part.device.type for part in evaluation} == {"meta"}
        assert evaluation.observation.shape == (3, loaded(name).observation_size)
        assert evaluation.reward.shape == evaluation.terminated.shape == (3,)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_rewards_have_gradients(name: str) -> None:
    """Finite in every state, the extreme ones included, and equal to the slope of the reward."""
    task = loaded(name)
    evaluate = task.evaluator()
    states, actions, contexts = samples(name)
    extreme = torch.cat([torch.from_numpy(task.model.qpos0), torch.zeros(task.facts.nv)])
    states = torch.cat([states, extreme.expand(1, -1), 100 * states[-10:]]).requires_grad_()
    actions, contexts = (torch.cat([part, part[:11]]) for part in (actions, contexts))
    reward = evaluate(states, actions, contexts, None).reward
    (gradient,) = torch.autograd.grad(reward.sum(), states)
    assert torch.isfinite(gradient).all()
    direction = torch.from_numpy(np.random.default_rng(1).normal(size=states.shape))
    with torch.no_grad():
        ahead, behind = (evaluate(states + step * direction, actions, contexts, None).reward for step in (1e-6, -1e-6))
    slope, predicted = (ahead - behind) / 2e-6, (gradient * direction).sum(dim=-1)
    assert predicted.abs().max() > 0
    # Where the reward has a kink nearby, the slope across it is not the gradient.
    assert ((slope - predicted).abs() < 1e-5 + 1e-3 * predicted.abs()).double().mean() > 0.99


@pytest.mark.parametrize("name", FORCES)
def test_forces_are_those_of_the_step_that_led_to_a_state(name: str) -> None:
    """As dm_control has them: its own environment, a physics step at a time, with the foot on the floor and off it."""
    task = loaded(name)
    physics, own = task.environment.physics, task.environment.task
    start, random = task.reset([4]), np.random.default_rng(0)
    states, actions, observations, rewards_ = [start.state], [], [], []
    for _ in range(600):
        actions.append(random.uniform(-1, 1, task.facts.nu))
        physics.set_control(actions[-1])
        physics.step()
        states.append(task.facts.layout.read(task.data))
        observations.append(np.concatenate([np.ravel(part) for part in own.get_observation(physics).values()]))
        rewards_.append(own.get_reward(physics))
    path, control = torch.from_numpy(np.stack(states)), torch.from_numpy(np.stack(actions))
    ours = task.evaluator()(path[1:], control, torch.zeros(600, 0), path[:-1])
    np.testing.assert_allclose(ours.observation, np.stack(observations), atol=TOLERANCE)
    np.testing.assert_allclose(ours.reward, rewards_, atol=TOLERANCE)
    pressed = (ours.observation[:, -2:] > 0).double().mean()
    assert 0.05 < pressed < 0.95


@pytest.mark.parametrize("margin", [0.0, 0.7])
@pytest.mark.parametrize("bounds", [(0.0, 0.0), (-0.5, 1.0), (0.9, math.inf), (-math.inf, -0.3)])
@pytest.mark.parametrize("sigmoid", ["gaussian", "linear", "quadratic"])
def test_tolerance_is_dm_controls(sigmoid: Sigmoid, bounds: tuple[float, float], margin: float) -> None:
    values = np.random.default_rng(0).normal(0, 2, 1000)
    expected = rewards.tolerance(values, bounds, margin, sigmoid, value_at_margin=0.2)
    ours = tolerance(torch.from_numpy(values), bounds, margin, sigmoid, value_at_margin=0.2)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert 0 < ours.mean() < 1 or (margin == 0 and bounds == (0.0, 0.0))
