"""Joints: their kinds, and where each stands in `qpos` and `qvel`."""

from typing import Literal

from mosim.core.frozen import Frozen

JointKind = Literal["free", "ball", "slide", "hinge"]
"""In the order of MuJoCo's `mjtJoint`."""

QPOS_WIDTH: dict[JointKind, int] = {"free": 7, "ball": 4, "slide": 1, "hinge": 1}
DOF_WIDTH: dict[JointKind, int] = {"free": 6, "ball": 3, "slide": 1, "hinge": 1}


class JointFacts(Frozen):
    """One joint. Addresses index `qpos` and `qvel`; the range is in radians or metres.

    Whether there is dry friction is told, not how much.
    """

    name: str
    kind: JointKind
    qpos_address: int
    dof_address: int
    limited: bool
    lower: float
    upper: float
    dry_friction: bool = False

    @property
    def dofs(self) -> range:
        """Its degrees of freedom."""
        return range(self.dof_address, self.dof_address + DOF_WIDTH[self.kind])
