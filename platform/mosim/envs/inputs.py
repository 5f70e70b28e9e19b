"""What an env is given step by step, checked before it changes anything."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mosim.core.arguments import LARGEST_SEED, Seed
from mosim.core.errors import MosimError

_SEED: TypeAdapter[int | None] = TypeAdapter(Seed | None)


def require_shape(actions: Any, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    """Actions as an array of real numbers.

    Args:
      actions: anything that NumPy makes an array of.
      shape: that it must have, since NumPy would stretch others to it.
      meaning: of the shape, such as `(num_envs, nu)`.

    Raises:
      MosimError: it has another shape, or holds something else.
    """
    array = np.asarray(actions)
    if array.shape != shape:
        raise MosimError(f"step: the action has shape {array.shape}; it must have the shape {meaning}, here {shape}.")
    if array.dtype.kind not in "fiu":
        raise MosimError(f"step: the action has dtype {array.dtype}; it must contain real numbers.")
    return array


def require_numbers(actions: np.ndarray, ended: np.ndarray) -> None:
    """Checks that no action is NaN, but those of envs that are reset instead of stepped.

    Args:
      actions: `(num_envs, nu)`.
      ended: `(num_envs,)` bool, whose step is a reset.

    Raises:
      MosimError: one is; names the env and the actuator.
    """
    odd = np.isnan(actions)
    if odd.any() and (odd := odd & ~ended[:, None]).any():
        env, actuator = np.argwhere(odd)[0]
        raise MosimError(f"step: the action of env {env} is NaN in ctrl[{actuator}]; actions must not be NaN.")


def seeds_of(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """The seed of each env, None for one that has none.

    Args:
      seed: one for all envs, or one or None for each.
      num_envs: how many there are.

    Raises:
      MosimError: a seed is not one, or they are not one an env.
    """
    each = list(seed) if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str) else [seed] * num_envs
    if len(each) != num_envs:
        raise MosimError(
            f"reset: {len(each)} seeds are given for {num_envs} envs; give one for all, or one or None for each."
        )
    try:
        return [_SEED.validate_python(own) for own in each]
    except ValidationError as error:
        odd = error.errors()[0]["input"]
        raise MosimError(
            f"reset: {odd!r} is not a seed; a seed is a whole number from 0 to {LARGEST_SEED}, or None."
        ) from None
