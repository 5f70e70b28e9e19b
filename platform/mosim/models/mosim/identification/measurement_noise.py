"""How noisy measured states are, and positions that are less so, by the velocities measured beside them.

From one step to the next a position moves by what velocity and time step say, whatever the robot is. So what it moves
otherwise is noise, and positions of other steps, moved by the velocities in between, are further measurements of one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mosim.core.shapes import Window, WindowActions
from mosim.models.mosim.neural_simulator import NeuralSimulator

_DEVIATION = 1.4826
"""Of a normal distribution, over the median of its absolute values."""

_RATIOS = (1e-6, 1e6)
"""Between which the noise of positions over that of displacements, squared, is taken to be."""

_PERCEPTIBLE = 1e-2
"""Noise of positions, over what they move in a step: far more than rounding, far less than what would matter."""


class MeasurementNoise(NamedTuple):
    """Standard deviations of what was measured, `(nv,)` each.

    Attributes:
      position: over that of what a position moves in a step.
      velocity: over that of velocities.
    """

    position: Tensor
    velocity: Tensor

    @property
    def of_positions(self) -> bool:
        """Whether positions are so noisy that their neighbours say more of them."""
        return bool((self.position > _PERCEPTIBLE).any())

    def __str__(self) -> str:
        return (
            f"measurement noise is {float(self.position.median()):.2g} of a step's displacement in positions and "
            f"{float(self.velocity.median()):.2g} of the standard deviation in velocities (medians over dimensions)"
        )

    @classmethod
    @torch.no_grad()
    def of(cls, simulator: NeuralSimulator, states: Window, actions: WindowActions) -> "MeasurementNoise":
        """What windows of three states or more have of it.

        That of a position is shared by two displacements one after the other, with opposite signs. Velocities' is half
        of what the simulator's steps are off by, in the middle, however it comes about: what the simulator does not
        know counts as noise.

        Args:
          simulator: predicts velocities.
          states: `(windows, steps + 1, nq + nv)`, raw.
          actions: `(windows, steps, nu)`.
        """
        space = simulator.space
        qpos, _ = space.split(states)
        slips = space.difference(space.integrate(qpos[:, :-1], _displacements(simulator, states)), qpos[:, 1:])
        position = -(slips[:, :-1] * slips[:, 1:]).mean((0, 1))
        start, end = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1)
        _, predicted = simulator.integrator(simulator.acceleration, *space.split(start), actions.flatten(0, 1))
        missed = predicted - space.split(end)[1]
        velocity = _DEVIATION * missed.abs().median(0).values / 2**0.5
        statistics = simulator.statistics
        return cls(
            position.clamp_min(0.0).sqrt() / statistics.displacement_std.to(position),
            velocity / statistics.velocity_std.to(velocity),
        )


@torch.no_grad()
def smoothed_positions(simulator: NeuralSimulator, noise: MeasurementNoise, states: Window) -> Tensor:
    """Positions in the middle of windows, `(windows, nq)`, as all positions and velocities of a window measure them.

    Args:
      simulator: its time step counts, and how its positions move.
      noise: of the states; where positions have none, they stay.
      states: `(windows, 2 * k + 1, nq + nv)`, raw.
    """
    space, reach = simulator.space, states.shape[1] // 2
    qpos, _ = space.split(states)
    moves = _displacements(simulator, states)
    middle = qpos[:, reach]
    measured = [middle]
    for place in reversed(range(reach)):
        moved = qpos[:, place]
        for step in range(place, reach):
            moved = space.integrate(moved, moves[:, step])
        measured.append(moved)
    for place in range(reach + 1, 2 * reach + 1):
        moved = qpos[:, place]
        for step in reversed(range(reach, place)):
            moved = space.integrate(moved, -moves[:, step])
        measured.append(moved)
    away = torch.stack([space.difference(middle, moved) for moved in measured], dim=1)
    return space.integrate(middle, (_weights(simulator, noise, reach).mT * away).sum(1))


def _displacements(simulator: NeuralSimulator, states: Window) -> Tensor:
    """What positions move in each step, `(windows, steps, nv)`, as the velocities before and after it say.

    MuJoCo's RK4 moves them by a mean of both, its other integrators by the velocity after the step.
    """
    _, qvel = simulator.space.split(states)
    after = 0.5 if simulator.facts.integrator == "RK4" else 1.0
    return simulator.facts.timestep * ((1 - after) * qvel[:, :-1] + after * qvel[:, 1:])


def _weights(simulator: NeuralSimulator, noise: MeasurementNoise, reach: int) -> Tensor:
    """What each measurement counts for, `(nv, 2 * reach + 1)`, so that their sum is the most exact."""
    distance = torch.tensor([0, *range(1, reach + 1), *range(1, reach + 1)]).to(noise.position)
    side = torch.tensor([0, *[-1] * reach, *[1] * reach])
    # Of positions on the same side, the way that both went has the same noise.
    common = torch.minimum(distance, distance.unsqueeze(-1)) * (side == side.unsqueeze(-1))
    each = torch.eye(len(distance)).to(common)
    statistics = simulator.statistics
    drift = simulator.facts.timestep * noise.velocity * statistics.velocity_std
    ratio = (noise.position * statistics.displacement_std / drift.clamp_min(1e-12)).square().clamp(*_RATIOS).to(common)
    inverse = torch.linalg.solve(ratio[:, None, None] * each + common, torch.ones_like(distance).unsqueeze(-1))
    return (inverse / inverse.sum(1, keepdim=True)).squeeze(-1)
