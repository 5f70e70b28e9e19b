"""How far a predicted state may be from the training data before the prediction counts as diverged."""

from typing import NamedTuple

import torch
from torch import Tensor

from mosim.core.shapes import State
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

STATE_LIMIT = 1e4
"""Magnitude of a state, in radians, metres and their rates, where nothing else bounds it."""

SPEED_FACTOR = 8.0
"""Times the simulator's own velocity limit, which is 1.25 times the largest velocity in its data."""

LIMITED_MARGIN = 0.5
"""How far beyond its range a limited joint may be, as a share of the range of joint and data."""

SLIDE_MARGIN, LEAST_SLIDE_MARGIN = 10.0, 10.0
"""How far beyond the data's range a free coordinate may be: as a multiple of the range, and at least in metres."""

# A policy that puts all the power it can into the true robots of the suite reaches 3.8 times the largest velocity of
# random data (cartpole), 0.4 of its range beyond it in a limited joint (cheetah), and 0.6 of it in a height (cheetah).


class StateLimits(NamedTuple):
    """Bounds of each dimension of the state, `(nq + nv,)` each; a state on them is within."""

    lower: Tensor
    upper: Tensor

    def hold(self, states: State) -> Tensor:
        """Whether each number of `(..., nq + nv)` is within; one that is not finite never is."""
        return (states >= self.lower) & (states <= self.upper)


def widest_limits(facts: SystemFacts, like: Tensor) -> StateLimits:
    """`STATE_LIMIT` either way for all but limited activations, as tensors of the precision and device of another."""
    upper = torch.full((facts.state_size,), STATE_LIMIT).to(like)
    lower = -upper
    for place, activation in enumerate(facts.activations, facts.layout.act.start):
        if activation.limited:
            lower[place], upper[place] = activation.lower, activation.upper
    return StateLimits(lower, upper)


def limits_within(facts: SystemFacts, statistics: Statistics, like: Tensor) -> StateLimits:
    """The limits of a model of some training data: around these, and around the joints' own ranges.

    Angles without a limit may wind, and coordinates that no force depends on may go anywhere, up to `STATE_LIMIT`.
    """
    lower, upper = widest_limits(facts, like)
    _bound_positions(facts, statistics.qpos_lower.to(like), statistics.qpos_upper.to(like), lower, upper)
    speed = (SPEED_FACTOR * statistics.velocity_limit.to(like)).clamp(max=STATE_LIMIT)
    lower[facts.layout.qvel], upper[facts.layout.qvel] = -speed, speed
    return StateLimits(lower, upper)


def _bound_positions(facts: SystemFacts, seen_lower: Tensor, seen_upper: Tensor, lower: Tensor, upper: Tensor) -> None:
    for joint in facts.joints:
        if joint.kind in ("slide", "hinge") and joint.limited:
            least = seen_lower[joint.qpos_address].clamp(max=joint.lower)
            most = seen_upper[joint.qpos_address].clamp(min=joint.upper)
            margin = LIMITED_MARGIN * (most - least)
            addresses = [joint.qpos_address]
        elif joint.kind in ("slide", "free"):
            linear = range(joint.qpos_address, joint.qpos_address + (1 if joint.kind == "slide" else 3))
            addresses = [address for address in linear if address not in facts.cyclic]
            least, most = seen_lower[addresses], seen_upper[addresses]
            margin = (SLIDE_MARGIN * (most - least)).clamp(min=LEAST_SLIDE_MARGIN)
        else:
            continue
        lower[addresses] = (least - margin).clamp(min=-STATE_LIMIT)
        upper[addresses] = (most + margin).clamp(max=STATE_LIMIT)
