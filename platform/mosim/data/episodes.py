"""One episode of the true physics, a pure function of system, behaviour, length, seed and index."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
import torch
from mujoco import rollout as mujoco_rollout

from mosim.core.errors import DivergenceError, MosimError
from mosim.data.behaviours import (
    Behaviour,
    Doubt,
    PoissonBehaviour,
    Policy,
    PolicyBehaviour,
    action_repeat_of,
    poisson_actions,
)
from mosim.robots import EpisodeStart, System
from mosim.tasks import Task

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
_ACTIONS_STREAM = 1
"""Key of the stream that actions are drawn from; the start is drawn from (seed, index) itself."""


@dataclass(frozen=True, repr=False)
class Episode:
    """An unbroken piece of a trajectory.

    Attributes:
      index: its place in the dataset.
      states: `(steps + 1, nq + nv)`, float64.
      actions: `(steps, nu)`, float64, each held for one physics step.
      context: `(context_size,)`, float64; empty where it is not known.
    """

    index: int
    states: np.ndarray
    actions: np.ndarray
    context: np.ndarray

    def __repr__(self) -> str:
        return (
            f"Episode(index={self.index}, states={self.states.shape}, actions={self.actions.shape}, "
            f"context={self.context.shape})"
        )


def collect_episode(
    system: System,
    behaviour: Behaviour,
    steps: int,
    seed: int,
    index: int,
    policy: Policy | None = None,
    doubt: Doubt | None = None,
) -> Episode:
    """Simulates one episode.

    Args:
      system: a `Task` where a policy acts.
      behaviour: how actions are chosen.
      steps: physics steps.
      seed: of the dataset, 0 to 2**32 - 1.
      index: of the episode; with `seed` it determines all that is random.
      policy: what `behaviour.policy` refers to; needed where a policy acts.
      doubt: what `behaviour.simulator` refers to; needed where there is one.

    Raises:
      DivergenceError: MuJoCo warns of a state it cannot go on from.
      MosimError: the policy does not fit the system.
    """
    start = system.reset([seed, index])
    random = np.random.SeedSequence([seed, index], spawn_key=(_ACTIONS_STREAM,))
    if isinstance(behaviour, PoissonBehaviour):
        actions = poisson_actions(behaviour, system.facts, steps, random)
        states = _open_loop(system, start, actions, index)
    elif isinstance(behaviour, PolicyBehaviour):
        if not isinstance(system, Task) or policy is None:
            raise MosimError(policy_needs_task(system.source))
        states, actions = _closed_loop(
            system, start, policy, behaviour, doubt, steps, np.random.default_rng(random), index
        )
    else:
        raise MosimError("imported trajectories cannot be collected again; import them from their file.")
    return Episode(index, states, actions, start.context)


def policy_needs_task(source: str) -> str:
    """The sentence for a policy that has no task to act in."""
    return (
        f"a policy needs a task's observations, and {source!r} is not a task; give a task, or use the behaviour "
        "poisson."
    )


def _open_loop(system: System, start: EpisodeStart, actions: np.ndarray, index: int) -> np.ndarray:
    model = system.model_for(start.context)
    data = _scratch(model)
    mujoco.mj_resetData(model, data)
    size = system.facts.state_size
    full = np.zeros(mujoco.mj_stateSize(model, _STATE))
    full[1 : 1 + size] = start.state  # mjSTATE_FULLPHYSICS starts with the time.
    with _without_sensors(model):
        batch, _ = mujoco_rollout.rollout(model, data, full[None], actions[None])
    rows = np.asarray(batch)[0]
    states = np.concatenate([start.state[None], rows[:, 1 : 1 + size]])
    if np.any(data.warning.number):
        # The rollout stops at a warning and repeats its last state to the end, so time stands still from there.
        step = int(np.count_nonzero(np.diff(rows[:, 0]) > 0)) + 1
        raise _diverged(system, data, index, step)
    return _finite(system, states, index)


@lru_cache(maxsize=1)
def _scratch(model: mujoco.MjModel) -> mujoco.MjData:
    # Kept from episode to episode: making one takes as long as hundreds of steps of a small system.
    return mujoco.MjData(model)


@contextmanager
def _without_sensors(model: mujoco.MjModel) -> Iterator[None]:
    """Spares what sensors take, up to a tenth of a step: their readings change no state, and none is kept."""
    flags = model.opt.disableflags
    model.opt.disableflags = flags | mujoco.mjtDisableBit.mjDSBL_SENSOR
    try:
        yield
    finally:
        model.opt.disableflags = flags


def _closed_loop(
    task: Task,
    start: EpisodeStart,
    policy: Policy,
    behaviour: PolicyBehaviour,
    doubt: Doubt | None,
    steps: int,
    random: np.random.Generator,
    index: int,
) -> tuple[np.ndarray, np.ndarray]:
    model, facts = task.model_for(start.context), task.facts
    data = mujoco.MjData(model)
    facts.layout.write(start.state, data)
    evaluate = task.exact_evaluator()
    lower, upper = np.array(facts.control_lower), np.array(facts.control_upper)
    states, actions = np.empty((steps + 1, facts.state_size)), np.empty((steps, facts.nu))
    states[0] = start.state
    context = torch.from_numpy(start.context[None])
    held = task.n_substeps * action_repeat_of(policy)
    for step in range(steps):
        if step % held == 0:
            led_here = None if step == 0 else torch.from_numpy(actions[step - 1][None])
            before = None if step == 0 else torch.from_numpy(states[step - 1][None])
            evaluation = evaluate(torch.from_numpy(states[step][None]), led_here, context, before)
            action = _checked_action(policy(evaluation.observation[0].numpy()), facts.nu, index, step)
            count = 1 if doubt is None else behaviour.candidates
            deviations = behaviour.noise * (upper - lower) / 2 * random.normal(size=(count, facts.nu))
            candidates = np.clip(action + deviations, lower, upper)
            data.ctrl[:] = candidates[0 if doubt is None else int(np.argmax(doubt(states[step], candidates)))]
        actions[step] = data.ctrl
        mujoco.mj_step(model, data)
        states[step + 1] = facts.layout.read(data)
        if np.any(data.warning.number):
            raise _diverged(task, data, index, step)
    return _finite(task, states, index), actions


def _checked_action(action: np.ndarray, nu: int, index: int, step: int) -> np.ndarray:
    action = np.asarray(action, np.float64)
    if action.shape != (nu,) or not np.all(np.isfinite(action)):
        raise MosimError(
            f"the policy returned {action!r} in episode {index} at physics step {step}; "
            f"it must return {nu} finite numbers, of shape ({nu},)."
        )
    return action


def _diverged(system: System, data: mujoco.MjData, index: int, step: int) -> DivergenceError:
    kind = int(np.flatnonzero(data.warning.number)[0])
    warning = mujoco.mju_warningText(kind, int(data.warning.lastinfo[kind])).rstrip(".")
    return DivergenceError(
        f"MuJoCo stopped in system {system.facts.name!r}, episode {index}, physics step {step}: {warning}; try a "
        "smaller timestep in the model, smaller actions or another seed."
    )


def _finite(system: System, states: np.ndarray, index: int) -> np.ndarray:
    if not np.all(np.isfinite(states)):
        step, dimension = np.argwhere(~np.isfinite(states))[0]
        raise DivergenceError(
            f"system {system.facts.name!r} diverged in episode {index} at physics step {step}: "
            f"{system.facts.state_names[dimension]} is not finite; use a smaller timestep in the model."
        )
    return states
