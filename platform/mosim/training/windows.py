"""Windows of consecutive physics steps, drawn at random from trajectories."""

import numpy as np
import torch
from torch import Tensor

from mosim.errors import MosimError
from mosim.shapes import Window, WindowActions
from mosim.trajectories import Trajectories


class WindowSampler:
    """Draws batches of windows; its randomness is a generator of its own, so that it can be saved and restored."""

    def __init__(self, trajectories: Trajectories, episodes: range, seed: int, device: torch.device) -> None:
        """Serves the given episodes of `trajectories`, held on `device` as float32."""
        self._trajectories = trajectories
        self._episodes = episodes
        # from_numpy of a float32 copy: the float64 arrays on disk are needed no longer.
        self._states = torch.from_numpy(trajectories.states.astype(np.float32)).to(device)
        self._actions = torch.from_numpy(trajectories.actions.astype(np.float32)).to(device)
        self._device = device
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
