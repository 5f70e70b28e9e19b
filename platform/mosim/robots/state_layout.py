"""What a state vector is made of, and where each part of it stands."""

from functools import cached_property
from typing import Literal, NamedTuple

import mujoco
import numpy as np
from torch import Tensor

from mosim.core.frozen import Frozen
from mosim.core.names import free_name
from mosim.geometry import DOF_WIDTH, QPOS_WIDTH, JointFacts, JointKind

Quantity = Literal["length", "angle", "quaternion", "velocity", "angular velocity", "activation"]
"""What a dimension of a state is."""

UNITS: dict[Quantity, str] = {
    "length": "m",
    "angle": "rad",
    "quaternion": "",
    "velocity": "m/s",
    "angular velocity": "rad/s",
    "activation": "",
}


class ActivationFacts(Frozen):
    """The internal state of an actuator, MuJoCo's `act`: its force follows the control late.

    Attributes:
      name: of the actuator.
      actuator: its index, which is that of its control.
      limited: whether MuJoCo keeps it within its range.
      lower, upper: its range; where it has none of its own, that of the control.
    """

    name: str
    actuator: int
    limited: bool
    lower: float
    upper: float


class StateParts(NamedTuple):
    """The parts of states: `(..., nq)`, `(..., nv)` and `(..., na)`."""

    qpos: Tensor
    qvel: Tensor
    act: Tensor


class Dimension(NamedTuple):
    """One dimension of a state: its name, such as `qpos/shoulder` or `qvel/root[3]`, and what it is."""

    name: str
    quantity: Quantity

    @property
    def unit(self) -> str:
        """In SI; empty where it has none."""
        return UNITS[self.quantity]


class StateLayout(Frozen):
    """A state is `[qpos, qvel, act]`; most robots have no `act`.

    Nothing else in mosim counts where a part begins.

    Attributes:
      joints: in MuJoCo's order.
      activations: in MuJoCo's order.
    """

    joints: tuple[JointFacts, ...]
    activations: tuple[ActivationFacts, ...] = ()

    @cached_property
    def nq(self) -> int:
        """Width of `qpos`."""
        return sum(QPOS_WIDTH[joint.kind] for joint in self.joints)

    @cached_property
    def nv(self) -> int:
        """Width of `qvel`."""
        return sum(DOF_WIDTH[joint.kind] for joint in self.joints)

    @property
    def na(self) -> int:
        """Width of `act`."""
        return len(self.activations)

    @property
    def size(self) -> int:
        """Width of a state."""
        return self.nq + self.nv + self.na

    @property
    def qpos(self) -> slice:
        """Where positions stand."""
        return slice(0, self.nq)

    @property
    def qvel(self) -> slice:
        """Where velocities stand."""
        return slice(self.nq, self.nq + self.nv)

    @property
    def act(self) -> slice:
        """Where activations stand."""
        return slice(self.nq + self.nv, self.size)

    @property
    def motion(self) -> slice:
        """Where `[qpos, qvel]` stands: what horizon errors are means over."""
        return slice(0, self.nq + self.nv)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What each dimension is, with names of which no two are the same."""
        named: list[tuple[str, Quantity]] = []
        for prefix, width, quantities in (("qpos", QPOS_WIDTH, _POSITIONS), ("qvel", DOF_WIDTH, _VELOCITIES)):
            for joint in self.joints:
                indexed = width[joint.kind] > 1
                for index, quantity in enumerate(quantities[joint.kind]):
                    named.append((f"{prefix}/{joint.name}" + f"[{index}]" * indexed, quantity))
        named.extend((f"act/{activation.name}", "activation") for activation in self.activations)
        # A hinge may be called a[0] beside a ball joint a.
        taken, distinct = {name for name, _ in named}, dict[str, Quantity]()
        for name, quantity in named:
            distinct[name if name not in distinct else free_name(name, taken | distinct.keys())] = quantity
        return tuple(Dimension(name, quantity) for name, quantity in distinct.items())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each dimension."""
        return tuple(dimension.name for dimension in self.dimensions)

    @cached_property
    def quaternions(self) -> tuple[slice, ...]:
        """Where orientations stand, each `(w, x, y, z)`."""
        starts = [
            joint.qpos_address + (3 if joint.kind == "free" else 0)
            for joint in self.joints
            if joint.kind in ("free", "ball")
        ]
        return tuple(slice(start, start + 4) for start in starts)

    @cached_property
    def rates(self) -> tuple[tuple[int, int], ...]:
        """Of each position whose rate is one number of the velocities: where both stand. Orientations have none."""
        return tuple(
            (joint.qpos_address + axis, self.nq + joint.dof_address + axis)
            for joint in self.joints
            if joint.kind != "ball"
            for axis in range(3 if joint.kind == "free" else 1)
        )

    def split(self, state: Tensor) -> StateParts:
        """The parts of states `(..., size)`, as views."""
        return StateParts(state[..., self.qpos], state[..., self.qvel], state[..., self.act])

    def write(self, state: np.ndarray, data: mujoco.MjData) -> None:
        """Puts a state `(size,)` into MuJoCo's data."""
        data.qpos[:], data.qvel[:], data.act[:] = state[self.qpos], state[self.qvel], state[self.act]

    def read(self, data: mujoco.MjData) -> np.ndarray:
        """The state `(size,)` that MuJoCo's data hold."""
        return np.concatenate([data.qpos, data.qvel, data.act])


_POSITIONS: dict[JointKind, tuple[Quantity, ...]] = {
    "free": ("length", "length", "length", "quaternion", "quaternion", "quaternion", "quaternion"),
    "ball": ("quaternion", "quaternion", "quaternion", "quaternion"),
    "slide": ("length",),
    "hinge": ("angle",),
}
_VELOCITIES: dict[JointKind, tuple[Quantity, ...]] = {
    "free": ("velocity", "velocity", "velocity", "angular velocity", "angular velocity", "angular velocity"),
    "ball": ("angular velocity", "angular velocity", "angular velocity"),
    "slide": ("velocity",),
    "hinge": ("angular velocity",),
}
