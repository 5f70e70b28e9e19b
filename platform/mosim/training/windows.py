"""Windows of consecutive physics steps, drawn at random from trajectories."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mosim.errors import MosimError
from mosim.shapes import Window, WindowActions
from mosim.trajectories import Trajectories


class Recording(NamedTuple):
    """Trajectories as training wants them; samplers share one.

    Attributes:
      states: `(rows, nq + nv)`, float32.
      actions: `(rows, nu)`, float32.
      trajectories: where windows of them lie.
    """

    states: Tensor
    actions: Tensor
    trajectories: Trajectories

    @classmethod
    def on(cls, device: torch.device, trajectories: Trajectories) -> "Recording":
        """Copies trajectories to a device."""
        states, actions = (
            torch.from_numpy(part.astype(np.float32)).to(device) for part in (trajectories.states, trajectories.actions)
        )
        return cls(states, actions, trajectories)


class WindowSampler:
    """Draws batches of windows; its randomness is a generator of its own, so that it can be saved and restored."""

    def __init__(self, recording: Recording, episodes: range, seed: int) -> None:
        """Serves the given episodes of a recording, on its device."""
        self._trajectories = recording.trajectories
        self._episodes = episodes
        self._states, self._actions = recording.states, recording.actions
        self._device = recording.states.device
        self.generator = torch.Generator().manual_seed(seed)
        self._starts: dict[int, Tensor] = {}

    def draw(self, batch_size: int, horizon: int) -> tuple[Window, WindowActions]:
        """Draws windows uniformly, with replacement.

        Returns:
          States `(batch_size, horizon + 1, nq + nv)` and actions `(batch_size, horizon, nu)`.
        """
        starts = self._windows(horizon)
        chosen = starts[torch.randint(len(starts), (batch_size,), generator=self.generator)].to(self._device)
        rows = chosen.unsqueeze(-1) + torch.arange(horizon + 1, device=self._device)
        return self._states[rows], self._actions[rows[:, :-1]]

    def spread(self, count: int, horizon: int) -> tuple[Window, WindowActions]:
        """The same `count` windows at every call, evenly spread; shaped as `draw`'s."""
        starts = self._windows(horizon)
        chosen = starts[torch.linspace(0, len(starts) - 1, min(count, len(starts))).long()].to(self._device)
        rows = chosen.unsqueeze(-1) + torch.arange(horizon + 1, device=self._device)
        return self._states[rows], self._actions[rows[:, :-1]]

    def _windows(self, horizon: int) -> Tensor:
        if horizon not in self._starts:
            starts = self._trajectories.windows(horizon)
            first, end = self._trajectories.offsets[[self._episodes.start, self._episodes.stop]]
            self._starts[horizon] = torch.from_numpy(starts[(starts >= first) & (starts < end)])
            if not len(self._starts[horizon]):
                raise MosimError(
                    f"the dataset has no episode of {horizon} steps or more, which a stage's horizon asks for."
                )
        return self._starts[horizon]
