"""What follows from a module's weights alone, remembered for as long as these stay as they are.

A step of a small robot is some hundred short operations, a third of which would find the same numbers in every step.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def remembered(function: Callable[[Module], Tensor]) -> Any:
    """A property that is computed from its module's own weights and buffers; remembered where no gradient is asked for.

    It is computed anew after any of torch's operations has changed one of them in place, or another has taken its
    place. What is written to `weight.data` goes unseen. Nothing is remembered of weights made in inference mode, whose
    changes torch does not count.
    """
    known: WeakKeyDictionary[nn.Module, tuple[list[tuple[int, int]], list[Tensor], Tensor]] = WeakKeyDictionary()

    def value(module: Module) -> Tensor:
        """As of the function."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return function(module)
        weights = [
            weight for held in (module._parameters, module._buffers) for weight in held.values() if weight is not None
        ]
        if any(weight.is_inference() for weight in weights):
            return function(module)
        state = [(weight.data_ptr(), weight._version) for weight in weights]
        before = known.get(module)
        if before is not None and before[0] == state:
            return before[2]
        result = function(module)
        # Memory that is held is not given to another weight.
        known[module] = state, [weight.detach() for weight in weights], result
        return result

    value.__doc__ = function.__doc__
    return property(value)
