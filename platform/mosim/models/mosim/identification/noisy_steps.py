"""Single physics steps whose states are measured with noise: where they start, and whether anything pushes."""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.models.learned import Windows
from mosim.models.mosim.identification.free_rows import FreeRows
from mosim.models.mosim.identification.measurement_noise import MeasurementNoise, smoothed_positions
from mosim.models.mosim.neural_simulator import NeuralSimulator

_CANDIDATES, _SAMPLED, _CHUNK = 60_000, 2_000, 4_096
"""Steps at most; of how many the noise is measured; and how many are taken at a time."""

_REACH = 16
"""Steps to either side whose measured positions count for one, where episodes are long enough."""

_DRAWS = 8
"""Positions as noise may have moved them, in none of which anything may push."""


class Steps(NamedTuple):
    """Steps in double precision, as far as a simulator can tell.

    Attributes:
      noise: of the measured states; None where episodes are too short to tell.
      states: `(n, nq + nv)`, their positions less noisy than what was measured.
      actions: `(n, nu)`, in actuator units.
      next_states: `(n, nq + nv)`, as measured.
    """

    noise: MeasurementNoise | None
    states: Tensor
    actions: Tensor
    next_states: Tensor

    @property
    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """What fits take."""
        return self.states, self.actions, self.next_states

    def of(self, which: Tensor) -> "Steps":
        """Those that a mask, `(n,)`, has."""
        return Steps(self.noise, *(part[which] for part in self.transitions))


class NoisySteps:
    """Measured steps, evenly spread over the training data, each with its neighbours in time."""

    def __init__(self, simulator: NeuralSimulator, training: Windows) -> None:
        """`simulator` is one of the system, `training` the episodes."""
        self._reach = min(_REACH, training.longest // 4)  # So that most steps of short episodes count.
        windows = training.spread(_CANDIDATES, max(2 * self._reach, 1))
        self._states, self._actions = driven(simulator, *(part.cpu() for part in windows))

    @torch.no_grad()
    def seen_by(self, simulator: NeuralSimulator) -> Steps:
        """The steps, given what a simulator on the CPU predicts of velocities."""
        exact, reach = deepcopy(simulator).double(), self._reach
        actions, next_states = self._actions[:, reach].double(), self._states[:, reach + 1].double()
        if not reach:
            return Steps(None, self._states[:, 0].double(), actions, next_states)
        some = slice(None, None, max(1, len(self._states) // _SAMPLED))
        noise = MeasurementNoise.of(exact, self._states[some].double(), self._actions[some].double())
        states = self._states[:, reach].double()
        chunks = self._states.split(_CHUNK)
        qpos = torch.cat([smoothed_positions(exact, noise, chunk.double()) for chunk in chunks])
        states[:, : qpos.shape[-1]] = qpos
        return Steps(noise, states, actions, next_states)


@torch.no_grad()
def untouched(simulator: NeuralSimulator, steps: Steps) -> Tensor:
    """Steps that neither contact nor limit pushes, wherever noise has moved them, `(n,)`.

    Args:
      simulator: on the CPU; its geometry counts.
      steps: as it sees them.
    """
    free_rows, space, generator = FreeRows(simulator.facts), simulator.space, torch.Generator().manual_seed(0)
    spread = None if steps.noise is None else steps.noise.position * simulator.statistics.displacement_std
    free = []
    for states in steps.states.split(_CHUNK):
        qpos, qvel = space.split(states)
        whole = free_rows(qpos).all(-1)
        for _ in range(0 if spread is None else _DRAWS):
            drawn = torch.randn(qvel.shape, generator=generator, dtype=qvel.dtype)
            whole &= free_rows(space.integrate(qpos, spread * drawn)).all(-1)
        free.append(whole)
    return torch.cat(free)


def driven(simulator: NeuralSimulator, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Windows of states without activations, and of actions with those at the beginning of each step after them."""
    _, controls = simulator.driven(states[:, :-1], actions)
    return states[..., simulator.facts.layout.motion], controls
