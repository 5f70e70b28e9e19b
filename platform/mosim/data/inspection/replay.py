"""MuJoCo's own steps from sampled states under sampled actions, and how far they end from the data's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco import rollout

from mosim.data.inspection.sampled_steps import SampledStep
from mosim.robots import System, SystemFacts

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS

_USUAL_SHARE = 0.95
"""Share of the steps, those with the smallest changes, that say what a usual change is: jumps do not count."""

_LEAST_CHANGE = 1e-6
"""Least usual change of a dimension, beside its magnitude: what single precision keeps of one that does not move."""


@dataclass(frozen=True, repr=False)
class Steps:
    """Steps as arrays, all of the same system.

    Attributes:
      before, after: states, `(steps, nq + nv)`.
      actions: `(steps, nu)`.
      contexts: `(steps, context_size)`.
    """

    before: np.ndarray
    actions: np.ndarray
    after: np.ndarray
    contexts: np.ndarray

    @classmethod
    def of(cls, sample: Sequence[SampledStep]) -> "Steps":
        """The sampled steps themselves, without their neighbours."""
        return cls(
            np.stack([each.states[each.at] for each in sample]),
            np.stack([each.actions[each.at] for each in sample]),
            np.stack([each.states[each.at + 1] for each in sample]),
            np.stack([each.context for each in sample]),
        )

    def __len__(self) -> int:
        return len(self.before)


def simulate(system: System, states: np.ndarray, actions: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """Steps MuJoCo from each state: `(n, nq + nv)` under `(n, steps, nu)` to `(n, steps, nq + nv)`.

    Where MuJoCo cannot go on from a state, the answer is far from it, and not finite at worst.
    """
    size = system.facts.state_size
    full = np.zeros((len(states), mujoco.mj_stateSize(system.model, _STATE)))
    full[:, 1 : 1 + size] = states  # mjSTATE_FULLPHYSICS starts with the time.
    models: list[mujoco.MjModel] | mujoco.MjModel = system.model
    if system.context_in_dynamics:
        known = {context.tobytes(): system.model_for(context) for context in contexts}
        models = [known[context.tobytes()] for context in contexts]
    with _silent():
        ended, _ = rollout.rollout(models, mujoco.MjData(system.model), full, actions, nstep=actions.shape[1])
    return np.asarray(ended)[..., 1 : 1 + size]


def state_difference(facts: SystemFacts, states: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`others - states`, `(..., nq + nv)`; a quaternion and its opposite, the same orientation, do not differ."""
    difference = others - states
    for place in facts.layout.quaternions:
        opposite = (states[..., place] * others[..., place]).sum(axis=-1, keepdims=True) < 0
        difference[..., place] = np.where(opposite, -others[..., place], others[..., place]) - states[..., place]
    return difference


def usual_change(facts: SystemFacts, steps: Steps) -> np.ndarray:
    """How much each dimension changes in a step, `(nq + nv,)`: the root mean square of all but the largest changes."""
    changes = np.sort(np.abs(state_difference(facts, steps.before, steps.after)), axis=0)
    usual = np.sqrt((changes[: max(1, int(_USUAL_SHARE * len(changes)))] ** 2).mean(axis=0))
    return np.maximum(usual, _LEAST_CHANGE * (1 + np.abs(steps.before).mean(axis=0)))


def mean_square_root(differences: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The length of each difference `(..., nq + nv)` in usual changes, `(...,)`; infinite where it is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(((differences / scale) ** 2).mean(axis=-1))
    return np.where(np.isfinite(lengths), lengths, np.inf)


def losses(residuals: np.ndarray, changes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """From 0, where a step ends as MuJoCo's does, to 1, where it ends as far off as the state changes, or further."""
    own = np.maximum(mean_square_root(changes, scale), 1.0)
    return np.minimum(mean_square_root(residuals, scale) / np.where(np.isfinite(own), own, 1.0), 1.0)


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps MuJoCo from writing what it warns of into a file of the working folder."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_ignore)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def _ignore(warning: str) -> None:
    del warning
