"""Where in state space a prediction diverges."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mosim.models import StateLimits
from mosim.robots import SystemFacts
from mosim.tasks import Evaluation


class Divergence(NamedTuple):
    """The end of an episode whose prediction diverged.

    Attributes:
      dimension: what left its limits first, as `SystemFacts.state_names` has it; `uncertainty` where the state stayed
        within, but the dynamics are too uncertain of it; `reward` or `observation[i]` where the task made something of
        it that is not finite.
      value: what was predicted of it; may be infinite or not a number.
      control_step: of the episode, counted from 1.
      before: the last state within the limits, `(nq + nv,)`.
    """

    dimension: str
    value: float
    control_step: int
    before: np.ndarray


def state_divergence(
    facts: SystemFacts, limits: StateLimits, states: Tensor, start: Tensor, control_step: int
) -> Divergence:
    """Finds what left its limits first.

    Where several dimensions do in the same physics step, it is the one that is furthest beyond, as a share of what is
    between its limits. Those that are not finite are furthest; among these it is the one that was nearest to its limits
    before.

    Args:
      facts: of the system.
      limits: beyond which some of `states` is.
      states: of the physics steps of a control step, `(n_substeps, nq + nv)`.
      start: the state before them, `(nq + nv,)`, within the limits.
      control_step: of the episode.
    """
    beyond = ~limits.hold(states)
    step = int(beyond.any(dim=-1).nonzero()[0])
    state, before = states[step], states[step - 1] if step else start
    width = limits.upper - limits.lower
    distance = torch.maximum(state - limits.upper, limits.lower - state) / width
    room = torch.minimum(limits.upper - before, before - limits.lower) / width

    def rank(dimension: int) -> tuple[bool, float]:
        finite = bool(torch.isfinite(state[dimension]))
        return not finite, float(distance[dimension] if finite else -room[dimension])

    dimension = max(beyond[step].nonzero().flatten().tolist(), key=rank)
    return Divergence(facts.state_names[dimension], float(state[dimension]), control_step, before.cpu().numpy().copy())


def uncertainty_divergence(uncertainty: float, before: Tensor, control_step: int) -> Divergence:
    """Tells of a prediction that is too uncertain; `before` is the state before it, `(nq + nv,)`."""
    return Divergence("uncertainty", uncertainty, control_step, before.cpu().numpy().copy())


def evaluation_divergence(evaluation: Evaluation, row: int, state: Tensor, control_step: int) -> Divergence:
    """Names what a task says of a state, `(nq + nv,)`, that is not finite; `row` is the state's in `evaluation`."""
    before = state.cpu().numpy().copy()
    if not torch.isfinite(evaluation.reward[row]):
        return Divergence("reward", float(evaluation.reward[row]), control_step, before)
    observation = evaluation.observation[row]
    index = int((~torch.isfinite(observation)).nonzero()[0])
    return Divergence(f"observation[{index}]", float(observation[index]), control_step, before)
