"""Windows of consecutive physics steps, drawn at random from trajectories."""

import numpy as np
import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.core.shapes import Window, WindowActions
from mosim.data import window_starts


class WindowSampler:
    """Draws batches of windows; its randomness is a generator of its own, so that it can be saved and restored."""

    def __init__(
        self,
        states: Tensor,
        actions: Tensor,
        offsets: np.ndarray,
        episodes: range,
        seed: int,
        newest: int = 0,
        newest_weight: float = 1.0,
    ) -> None:
        """Serves the given episodes of the rows of `mosim.training.data.TrainingData`, on the tensors' device.

        `draw` draws windows of the episodes from `newest` on with `newest_weight` times the probability of the others.
        """
        self._first_new_row, self._newest_weight = int(offsets[newest]), newest_weight
        self._states, self._actions, self._offsets = states, actions, offsets
        self._episodes = episodes
        self._device = states.device
        self.generator = torch.Generator().manual_seed(seed)
        self._starts: dict[int, Tensor] = {}

    @property
    def longest(self) -> int:
        """The most physics steps that a window can have: those of the longest episode."""
        return int(np.diff(self._offsets[self._episodes.start : self._episodes.stop + 1]).max()) - 1

    def draw(self, batch_size: int, horizon: int, part: slice = slice(None)) -> tuple[Window, WindowActions]:
        """Draws windows with replacement: uniformly, but for the weight of the newest.

        Args:
          batch_size: how many are drawn.
          horizon: their physics steps.
          part: which of them are returned, all by default; replicas draw the same batch, and take a part of it each.

        Returns:
          States `(windows, horizon + 1, nq + nv)` and actions `(windows, horizon, nu)`.
        """
        starts = self._windows(horizon)
        return self._at(starts[self._drawn(starts, batch_size)[part]], horizon)

    def spread(self, count: int, horizon: int) -> tuple[Window, WindowActions]:
        """The same `count` windows at every call, evenly spread; shaped as `draw`'s."""
        starts = self._windows(horizon)
        return self._at(starts[torch.linspace(0, len(starts) - 1, min(count, len(starts))).long()], horizon)

    def _drawn(self, starts: Tensor, count: int) -> Tensor:
        """Indices of so many of the starts, at random."""
        old = 0 if self._newest_weight == 1 else int((starts < self._first_new_row).sum())
        new = len(starts) - old
        if not old or not new:
            return torch.randint(len(starts), (count,), generator=self.generator)
        weight = self._newest_weight * new
        of_new = torch.rand(count, generator=self.generator) < weight / (weight + old)
        older, newer = (torch.randint(size, (count,), generator=self.generator) for size in (old, new))
        return torch.where(of_new, old + newer, older)

    def _at(self, starts: Tensor, horizon: int) -> tuple[Window, WindowActions]:
        rows = starts.to(self._device).unsqueeze(-1) + torch.arange(horizon + 1, device=self._device)
        return self._states[rows], self._actions[rows[:, :-1]]

    def _windows(self, horizon: int) -> Tensor:
        if horizon not in self._starts:
            starts = window_starts(self._offsets, horizon)
            first, end = self._offsets[[self._episodes.start, self._episodes.stop]]
            self._starts[horizon] = torch.from_numpy(starts[(starts >= first) & (starts < end)])
            if not len(self._starts[horizon]):
                raise MosimError(
                    f"the dataset has no episode of at least {horizon} steps, which the horizon of a stage needs."
                )
        return self._starts[horizon]
