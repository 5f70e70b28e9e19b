"""How fast two motions part that begin close to one another: the largest Lyapunov exponent of a dynamics model."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mosim.core.threads import single_threaded
from mosim.geometry import ConfigurationSpace
from mosim.models import DynamicsModel

_FIRST = 0.2
"""Share of the time that a perturbation has for turning into the fastest direction, and that is not counted."""


class LyapunovExponent(NamedTuple):
    """An exponent, in 1/s: `1 / exponent` is the time in which a small difference grows by the factor e.

    Attributes:
      mean: over starts.
      error: standard error of the mean.
      starts: whose motion stayed finite.
    """

    mean: float
    error: float
    starts: int


@single_threaded
@torch.no_grad()
def lyapunov_exponent(
    model: DynamicsModel, states: Tensor, actions: Tensor, *, distance: float = 1e-6, interval: int = 5
) -> LyapunovExponent:
    """The largest Lyapunov exponent along motions, by the method of Benettin et al. (Meccanica 15, 1980).

    Beside each motion runs a second one, a small distance away. After every `interval` steps, the growth of the
    distance is recorded, and the second motion is put back to the first distance in the direction where it has gone.
    Distances are Euclidean, over displacements in the tangent space and velocities, in SI units.

    Args:
      model: predicts from a state alone; in double precision for distances as small as the default.
      states: where motions begin, `(starts, state_size)`.
      actions: along them, `(starts, steps, nu)`; `steps` is a multiple of `interval`.
      distance: between the two motions.
      interval: physics steps between two corrections.
    """
    facts = model.facts
    space, layout, timestep = ConfigurationSpace(facts.joints), facts.layout, facts.timestep
    random = torch.Generator().manual_seed(0)
    apart = torch.randn(len(states), 2 * facts.nv, generator=random, dtype=torch.float64)
    motion = states.double()
    growths = []
    for part in actions.split(interval, dim=1):
        direction = distance * apart / apart.norm(dim=-1, keepdim=True)
        qpos, qvel, act = layout.split(motion)
        other = torch.cat(
            [space.integrate(qpos, direction[:, : facts.nv]), qvel + direction[:, facts.nv :], act], dim=-1
        )
        starts, controls = (torch.cat(pair).to(model.like.dtype) for pair in ((motion, other), (part, part)))
        both = model.rollout(starts, controls)
        motion, other = both[:, -1].double().chunk(2)
        qpos, qvel, _ = layout.split(motion)
        other_qpos, other_qvel, _ = layout.split(other)
        apart = torch.cat([space.difference(qpos, other_qpos), other_qvel - qvel], dim=-1)
        growths.append((apart.norm(dim=-1) / distance).log() / (part.shape[1] * timestep))
    counted = torch.stack(growths)[round(_FIRST * len(growths)) :].mean(0).numpy()
    finite = counted[np.isfinite(counted)]
    if not len(finite):
        return LyapunovExponent(float("nan"), float("nan"), 0)
    error = float(finite.std(ddof=1) / len(finite) ** 0.5) if len(finite) > 1 else float("nan")
    return LyapunovExponent(float(finite.mean()), error, len(finite))
