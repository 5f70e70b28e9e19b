"""Which transitions a step fit takes: those in which constraints act, the ones that are seen least first."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mosim.models.mosim.constraints.compliance import NUMBERS
from mosim.models.mosim.constraints.constrained_motion import ConstraintRows
from mosim.models.mosim.neural_simulator import NeuralSimulator

_CHUNK = 512

_MOST_PUSHED, _MOST = 3000, 12_000
"""Transitions that are taken at most: of those in which constraints act, and with those in which none does. The ones
with the constraints that are seen least come first."""

_WORK = 4e10
"""Products that a Hessian may take: with many unknowns fewer transitions are taken, whose equations are many still."""


def taken(
    simulator: NeuralSimulator, parts: Sequence[ConstraintRows], states: Tensor, weights: int, errors: int
) -> tuple[Tensor, Tensor]:
    """Which transitions are taken, and which constraints act in them.

    Args:
      simulator: whose constraints they are.
      parts: its constraints.
      states: `(n, nq + nv)`, raw: the starts of the transitions.
      weights: of masses, forces and gears that are looked for too; with any, some transitions without a constraint that
        acts are taken as well.
      errors: of a transition that the Hessian is made of.

    Returns:
      Indices of transitions, and of constraints.
    """
    single = states.to(next(simulator.parameters()).dtype)
    acting = torch.cat([_acting(simulator, parts, chunk) for chunk in single.split(_CHUNK)])
    kept = _rarest_first(acting)[:_MOST_PUSHED]
    seen = acting[kept].any(0).nonzero().squeeze(-1)
    if weights:
        unknowns = weights + NUMBERS * len(seen)
        most = max(_MOST_PUSHED, min(_MOST, int(_WORK / (errors * unknowns**2))))
        free = (~acting.any(-1)).nonzero().squeeze(-1)
        kept = torch.cat([kept, free[torch.linspace(0, len(free) - 1, min(len(free), most - len(kept))).long()]])
    return kept, seen


@torch.no_grad()
def _acting(simulator: NeuralSimulator, parts: Sequence[ConstraintRows], states: Tensor) -> Tensor:
    """Which constraints act, `(n, constraints)`."""
    qpos, _ = simulator.space.split(states)
    found = [torch.zeros(len(states), 0, dtype=torch.bool)]
    for part in parts:
        acts = torch.zeros(len(states), len(part.compliance.own), dtype=torch.bool)
        acts[part.acting(qpos)] = True
        found.append(acts)
    return torch.cat(found, dim=-1)


def _rarest_first(acting: Tensor) -> Tensor:
    """States in which constraints act: first one of each constraint, then a second, and so on."""
    some = acting.any(-1)
    if not bool(some.any()):
        return some.nonzero().squeeze(-1)
    number = acting.cumsum(0).masked_fill(~acting, len(acting) + 1).amin(-1)
    return number.argsort(stable=True)[: int(some.sum())]
