"""Data-parallel training: copies of one simulator, each of which takes its part of every batch."""

from collections.abc import Sequence

import torch
import torch.distributed
from torch import nn


class Replicas:
    """The copies of a simulator that train together, one a process; this process's is number `rank` of `count`.

    Every copy draws the same batch, takes its part, and steps by the mean gradient of all parts, so that all stay
    equal, and equal to one copy that had taken the whole batch, up to the order of summation.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        """By default one copy alone; more need `torch.distributed` to have been set up."""
        self.rank, self.count = rank, count

    @property
    def leads(self) -> bool:
        """Whether this copy writes checkpoints for all."""
        return self.rank == 0

    def part(self, batch_size: int) -> slice:
        """Which windows of a batch are this copy's."""
        first, end = (number * batch_size // self.count for number in (self.rank, self.rank + 1))
        return slice(first, end)

    def combine(self, learning: Sequence[nn.Parameter], share: float, value: float, seconds: float) -> list[float]:
        """Makes the gradients those of the whole batch, and tells every copy the same loss and time.

        Args:
          learning: parameters, with this copy's gradients, which are replaced.
          share: of the batch that is this copy's, 0 to 1.
          value: this copy's mean loss.
          seconds: this copy's clock.

        Returns:
          The mean loss over the whole batch, and the leader's clock.
        """
        if self.count == 1:
            return [value, seconds]
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in learning]
        told = gradients[0].new_tensor([share * value, seconds if self.leads else 0.0])
        # One message a step: its latency is most of what a small network's gradients cost.
        message = torch.cat([*(share * gradient.flatten() for gradient in gradients), told])
        torch.distributed.all_reduce(message)
        *parts, told = message.split([gradient.numel() for gradient in gradients] + [2])
        for weight, part in zip(learning, parts, strict=True):
            weight.grad = part.view_as(weight)
        return told.tolist()


ALONE = Replicas()
