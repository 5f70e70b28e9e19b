"""What a dynamics model carries from step to step: a tensor, or tensors in tuples and dicts, batched alike."""

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

Carry: TypeAlias = Tensor | tuple[Any, ...] | dict[str, Any]
"""Every tensor has the batch as its first dimension. That of a model without memory is the state itself."""


def map_carry(function: Callable[..., Tensor], carry: Carry, *others: Any) -> Carry:
    """The carry of what a function makes of each tensor, and of those in the same place of carries of the same make."""
    if isinstance(carry, Tensor):
        return function(carry, *others)
    if isinstance(carry, dict):
        return {name: map_carry(function, part, *(other[name] for other in others)) for name, part in carry.items()}
    return tuple(map_carry(function, *parts) for parts in zip(carry, *others, strict=True))


def flat_carry(carry: Carry, name: str = "carry") -> dict[str, Tensor]:
    """The tensors of a carry by the names of their places, such as `carry.hidden.0`."""
    if isinstance(carry, Tensor):
        return {name: carry}
    parts = carry.items() if isinstance(carry, dict) else enumerate(carry)
    return {place: tensor for key, part in parts for place, tensor in flat_carry(part, f"{name}.{key}").items()}


def unflat_carry(tensors: dict[str, Tensor], like: Carry, name: str = "carry") -> Carry:
    """The carry that `flat_carry` made these of; `like` is another of the same make."""
    if isinstance(like, Tensor):
        return tensors[name]
    if isinstance(like, dict):
        return {key: unflat_carry(tensors, part, f"{name}.{key}") for key, part in like.items()}
    return tuple(unflat_carry(tensors, part, f"{name}.{index}") for index, part in enumerate(like))
