"""Transitions of the training data as the balance of forces takes them, and where it holds in them."""

from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor

from mosim.models.mosim.identification.free_rows import FreeRows, uncoupled
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import SystemFacts

_MOST_TRANSITIONS = 4000
"""Transitions that are taken at most: those that contacts and limits push least."""

_CHUNK = 256

_STOPPING = 50.0
"""Deceleration over speed, in 1/s, up to which dry friction opposes the motion: what stops faster than MuJoCo's
friction wants it to, which is at twice that rate, is pushed on."""

_STRAINED = 0.05
"""How far a motion must be from what friction wants, over its accelerations, for friction to be at its strength."""

LEAST_NOISE = 1e-9
"""Of the balances, in units of the forces that act: none are more exact."""

STILL = 1e-12
"""Squared accelerations below this are none."""


class Transitions:
    """Transitions as the balance of forces takes them: where, how fast, and how fast that changes."""

    def __init__(
        self,
        simulator: NeuralSimulator,
        predictor: ArticulatedPredictor,
        rows: Sequence[Tensor],
        rounding: float = 0.0,
    ) -> None:
        """`rows` are states, actions and next states; `rounding` is that of their numbers, accelerations have more."""
        states, actions, next_states = rows
        self._simulator, self._predictor, space = simulator, predictor, simulator.space
        self._coupled = bool(simulator.facts.skeleton.couplings)
        self.balances = uncoupled(simulator.facts)
        (qpos, qvel), (next_qpos, next_qvel) = space.split(states), space.split(next_states)
        free_rows = FreeRows(simulator.facts)

        def free_at(qpos: Tensor) -> Tensor:
            return torch.cat([free_rows(part) for part in qpos.split(_CHUNK)])

        exact = predictor.implicit_timestep > 0
        middle = space.integrate(qpos, 0.5 * space.difference(qpos, next_qpos))
        free = free_at(qpos) & _slides(simulator.facts, qvel, next_qvel)
        if not exact:  # Within the step, what pushes one degree of freedom moves all.
            free &= free_at(middle) & free_at(next_qpos)
            free &= free.all(-1, keepdim=True)
        kept = free.sum(-1).argsort(descending=True, stable=True)[:_MOST_TRANSITIONS]
        kept = kept[free[kept].any(-1)]
        self.free, self.control = free[kept], actions[kept]
        self.usable = torch.stack([self.free[:, list(each.dofs)].all(-1) for each in self.balances], dim=-1)
        self._start = qpos[kept], qvel[kept]
        self.rates = (next_qvel - qvel)[kept] / simulator.facts.timestep
        speeds = next_qvel[kept].square().mean(0).sqrt() if len(kept) else torch.zeros_like(predictor.tree.scale)
        share = speeds / simulator.facts.timestep * predictor.tree.scale / predictor.joints.force_scale
        first = [balance.dofs[0] for balance in self.balances]
        self.rounding = (rounding * share[first]).clamp_min(LEAST_NOISE)
        self.qpos = (qpos if exact else middle)[kept]
        self.qvel = (qvel if exact else 0.5 * (qvel + next_qvel))[kept]
        self.damped = (next_qvel if exact else 0.5 * (qvel + next_qvel))[kept]

    def among(self, usable: Tensor) -> "Transitions":
        """The same, of which only some balances, `(n, balances)`, can be used."""
        others = copy(self)
        others.usable = self.usable & usable
        return others

    def correction(self) -> Tensor:
        """By how much the simulator's own step accelerates more than it does where the balance is taken."""
        return self._predicted() - self._smooth(self.qpos, self.qvel, self.control)

    def unexplained(self) -> float:
        """Share of squared accelerations that the simulator's own step leaves where nothing is pushed; NaN without."""
        whole = self.free.all(-1) & (not self._coupled)  # Which couplings move everywhere.
        left = (self._predicted() - self.rates)[whole].square().mean(0)
        return float((left / self.rates[whole].square().mean(0).clamp_min(STILL)).mean())

    def _predicted(self) -> Tensor:
        _, next_qvel = self._simulator.integrator(self._smooth, *self._start, self.control)
        return (next_qvel - self._start[1]) / self._simulator.facts.timestep

    def _smooth(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> Tensor:
        return self._predictor.smooth_acceleration(qpos, qvel, self._simulator.scaled(control))


def _slides(facts: SystemFacts, qvel: Tensor, next_qvel: Tensor) -> Tensor:
    """Where dry friction opposes the motion with all its strength, or there is none, `(batch, nv)`."""
    rubs = torch.zeros(qvel.shape[-1], dtype=torch.bool)
    for joint in facts.joints:
        rubs[list(joint.dofs)] = joint.dry_friction
    gained = (next_qvel - qvel) / facts.timestep * qvel.sign()
    needed = gained + _STOPPING * qvel.abs()
    return ~rubs | ((needed > _STRAINED * gained.square().mean(0).sqrt()) & (qvel * next_qvel > 0))
