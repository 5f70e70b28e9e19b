"""What a task fixes for an episode outside `[qpos, qvel]`: the episode's context.

dm_control tasks write such things straight into the model or the data: reacher and fish move a geom, finger a site,
manipulator a body. Which numbers those are is found by resetting the task a few times and looking at what changes,
so that no table of tasks is needed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from mosim.robots import array_fields

_DATA_FIELDS = ("mocap_pos", "mocap_quat", "userdata", "qfrc_applied", "xfrc_applied", "eq_active")


@dataclass(frozen=True)
class _Slot:
    in_model: bool
    field: str
    indices: np.ndarray  # into the flattened field


class ContextLayout:
    """Where each number of a context vector lives in a model and its data.

    Attributes:
      size: length of a context vector, 0 for a task whose episodes differ in their states alone.
      names: what each number is, such as `geom_pos[18]`.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, resets: Iterable[Callable[[], None]]) -> None:
        """Looks at `model` and `data` after each of `resets`; whatever differs between them belongs to the context."""
        fields = [(True, name) for name, _ in array_fields(model)] + [(False, name) for name in _DATA_FIELDS]
        first: dict[tuple[bool, str], np.ndarray] = {}
        varies = dict.fromkeys(fields, np.False_)
        for reset in resets:
            reset()
            for key in fields:
                array = getattr(model if key[0] else data, key[1])
                varies[key] = varies[key] | (array != first.setdefault(key, array.copy()))
        self._slots = tuple(_Slot(*key, np.flatnonzero(varies[key])) for key in fields if np.any(varies[key]))
        self.names = tuple(f"{slot.field}[{index}]" for slot in self._slots for index in slot.indices)
        self.size = len(self.names)

    @property
    def in_model(self) -> dict[str, np.ndarray]:
        """By field of the model, the indices into it, flattened, that belong to the context."""
        return {slot.field: slot.indices for slot in self._slots if slot.in_model}

    def read(self, model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
        """The context that `model` and `data` hold now, of shape `(size,)`."""
        context = np.empty(self.size)
        for part, values in self._parts(context, model, data):
            part[:] = values[0].flat[values[1]]
        return context

    def write(self, context: np.ndarray, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Puts a context of shape `(size,)` into `model` and `data`."""
        for part, (array, indices) in self._parts(context, model, data):
            array.flat[indices] = part

    def _parts(self, context: np.ndarray, model: Any, data: Any) -> Iterator[tuple[np.ndarray, tuple[Any, np.ndarray]]]:
        start = 0
        for slot in self._slots:
            stop = start + slot.indices.size
            yield context[start:stop], (getattr(model if slot.in_model else data, slot.field), slot.indices)
            start = stop
