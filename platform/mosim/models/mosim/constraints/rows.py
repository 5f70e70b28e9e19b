"""Rows of the constraint's Jacobian: as constraints give them, and put together by the states they are of."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ONE_SIDED = -1.0
"""Stands for the strength of a row that only pushes."""


class Rows(NamedTuple):
    """Rows of the constraint's Jacobian that act, of a whole batch, and what they want.

    The force along a row is `-D_r (J_r a - a_r)`: of a contact or limit where it pushes, else none; of any other row as
    far as its strength goes. Rows of one contact come together; `edges` is how many.

    Attributes:
      sample: `(n,)`: the index in the batch of each constraint.
      jacobian: `(n, edges, nv)`, of accelerations in units of their standard deviation.
      target: `(n, edges)`: the acceleration along the row that it wants, `a_r`, in SI units.
      stiffness: `(n, edges)`: `D_r`.
      strength: `(n, edges)`: the largest force in either direction, in newtons or newton metres; infinite of an
        equality. None of rows that only push, however hard.
    """

    sample: Tensor
    jacobian: Tensor
    target: Tensor
    stiffness: Tensor
    strength: Tensor | None = None

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Rows":
        """The same rows with their numbers replaced."""
        strength = None if self.strength is None else function(self.strength)
        jacobian, target, stiffness = map(function, (self.jacobian, self.target, self.stiffness))
        return Rows(self.sample, jacobian, target, stiffness, strength)


def strengths(parts: Sequence[Rows]) -> list[Tensor] | None:
    """Of all rows, `ONE_SIDED` where they only push; None where all do."""
    if all(part.strength is None for part in parts):
        return None
    return [torch.full_like(part.target, ONE_SIDED) if part.strength is None else part.strength for part in parts]


def forces_along(gap: Tensor, stiffness: Tensor, strength: Tensor | None) -> Tensor:
    """The forces of rows whose accelerations miss what these want by `gap`; all of one shape."""
    pushed = -stiffness * gap.clamp_max(0.0)
    if strength is None:
        return pushed
    held = torch.minimum(torch.maximum(-stiffness * gap, -strength), strength)
    return torch.where(strength < 0, pushed, held)


def all_in_every_state(size: int, qpos: Tensor) -> tuple[Tensor, Tensor]:
    """Of so many constraints that always act, the index in the batch of `qpos`, and which each is, both `(n,)`."""
    states, rows = (torch.arange(count, device=qpos.device) for count in (len(qpos), size))
    return states.repeat_interleave(size), rows.repeat(len(qpos))


def by_sample(
    parts: Sequence[Rows], batch: int, few: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]]:
    """Rows put together by the states that they are of; states with few rows apart from those with many.

    Args:
      parts: rows of a batch of states.
      batch: how many states.
      few: increasing; states with at most so many rows, but more than the number before, are put together.

    Yields:
      The indices of states, `(states,)`, and these states' Jacobian, `(states, rows, nv)`, target, stiffness and
      strength, `(states, rows)` each; where a state has fewer rows than another, the rest is zero.
    """
    counts, ranks = _ranks(parts, batch)
    start, groups = _layout(counts, few)
    places = [(start[part.sample].unsqueeze(-1) + rank).flatten() for part, rank in zip(parts, ranks, strict=True)]
    lengths = [len(touched) * most for touched, most in groups]
    fields = ([getattr(part, name) for part in parts] for name in ("jacobian", "target", "stiffness"))
    jacobian, target, stiffness = (_placed(field, places, sum(lengths)).split(lengths) for field in fields)
    each = strengths(parts)
    strength = None if each is None else _placed(each, places, sum(lengths)).split(lengths)
    for number, (touched, most) in enumerate(groups):
        shape = (len(touched), most)
        yield (
            touched,
            jacobian[number].unflatten(0, shape),
            target[number].unflatten(0, shape),
            stiffness[number].unflatten(0, shape),
            None if strength is None else strength[number].unflatten(0, shape),
        )


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


def _placed(values: Sequence[Tensor], places: Sequence[Tensor], size: int) -> Tensor:
    """Values of rows, `(n, edges, ...)` each, at places of their own among `size`; zero elsewhere."""
    placed = values[0].new_zeros(size, *values[0].shape[2:])
    for part, place in zip(values, places, strict=True):
        placed.index_copy_(0, place, part.flatten(0, 1))
    return placed
