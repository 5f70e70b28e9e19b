"""Rows of the constraint's Jacobian: as constraints give them, and put together by the states they are of."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.models.mosim.constraints.force_law import ForceLaw, joined


class Rows(NamedTuple):
    """Rows of the constraint's Jacobian that act, of a whole batch, and what they want.

    The gap of a row is by how much its acceleration misses what it wants, `J_r a - a_r`, from which the force follows.
    Rows of one contact come together; `edges` is how many.

    Attributes:
      sample: `(n,)`: the index in the batch of each constraint.
      jacobian: `(n, edges, nv)`, of accelerations in units of their standard deviation.
      target: `(n, edges)`: the acceleration along the row that it wants, `a_r`, in SI units.
      law: of the forces, `(n, edges)` each, in newtons or newton metres.
    """

    sample: Tensor
    jacobian: Tensor
    target: Tensor
    law: ForceLaw

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Rows":
        """The same rows with their numbers replaced."""
        return Rows(self.sample, function(self.jacobian), function(self.target), self.law.mapped(function))


def all_in_every_state(size: int, qpos: Tensor) -> tuple[Tensor, Tensor]:
    """Of so many constraints that always act, the index in the batch of `qpos`, and which each is, both `(n,)`."""
    states, rows = (torch.arange(count, device=qpos.device) for count in (len(qpos), size))
    return states.repeat_interleave(size), rows.repeat(len(qpos))


class RowsByState(NamedTuple):
    """Rows put together by the states that they are of; where a state has fewer rows than another, the rest is zero.

    Attributes:
      touched: the indices of the states, `(states,)`.
      jacobian: `(states, rows, nv)`.
      target: `(states, rows)`.
      law: of the forces, `(states, rows)` each.
    """

    touched: Tensor
    jacobian: Tensor
    target: Tensor
    law: ForceLaw


def by_sample(parts: Sequence[Rows], batch: int, few: Sequence[int]) -> Iterator[RowsByState]:
    """Rows put together by states; states with few rows apart from those with many.

    Args:
      parts: rows of a batch of states.
      batch: how many states.
      few: increasing; states with at most so many rows, but more than the number before, are put together.
    """
    counts, ranks = _ranks(parts, batch)
    start, groups = _layout(counts, few)
    places = [(start[part.sample].unsqueeze(-1) + rank).flatten() for part, rank in zip(parts, ranks, strict=True)]
    placed = partial(_placed, places, sum(len(touched) * most for touched, most in groups))
    jacobian, target = placed([part.jacobian for part in parts]), placed([part.target for part in parts])
    law, first = joined([part.law for part in parts], placed), 0
    for touched, most in groups:
        grouped = partial(_grouped, first, len(touched), most)
        yield RowsByState(touched, grouped(jacobian), grouped(target), law.mapped(grouped))
        first += len(touched) * most


def rank_within(sample: Tensor, counts: Tensor) -> Tensor:
    """Of each element, how many of its sample come before it; `counts` is how many elements each sample has."""
    order = sample.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[sample[order]]
    return rank


def _ranks(parts: Sequence[Rows], batch: int) -> tuple[Tensor, list[Tensor]]:
    """How many rows each state has, `(batch,)`, and how many of its state come before each row, `(n, edges)` a part."""
    counts, ranks = parts[0].sample.new_zeros(batch), []
    for part in parts:
        edges = part.target.shape[1]
        own = torch.bincount(part.sample, minlength=batch)
        first = counts[part.sample] + edges * rank_within(part.sample, own)
        ranks.append(first.unsqueeze(-1) + torch.arange(edges, device=first.device))
        counts = counts + edges * own
    return counts, ranks


def _layout(counts: Tensor, few: Sequence[int]) -> tuple[Tensor, list[tuple[Tensor, int]]]:
    """Where each state's rows begin, `(batch,)`, and the groups: the indices of states, and rows at most of one."""
    group = torch.bucketize(counts, counts.new_tensor([0, *few]))
    start, groups, end = torch.zeros_like(counts), [], 0
    for number in range(1, len(few) + 2):
        touched = (group == number).nonzero().squeeze(-1)
        if len(touched):
            most = int(counts[touched].max())
            start[touched] = end + most * torch.arange(len(touched), device=counts.device)
            end += most * len(touched)
            groups.append((touched, most))
    return start, groups


def _grouped(first: int, states: int, most: int, rows: Tensor) -> Tensor:
    return rows[first : first + states * most].unflatten(0, (states, most))


def _placed(places: Sequence[Tensor], size: int, values: Sequence[Tensor]) -> Tensor:
    """Values of rows, `(n, edges, ...)` each, at places of their own among `size`; zero elsewhere."""
    placed = values[0].new_zeros(size, *values[0].shape[2:])
    for part, place in zip(values, places, strict=True):
        placed.index_copy_(0, place, part.flatten(0, 1))
    return placed
