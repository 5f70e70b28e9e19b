"""What the rest of mosim needs to know of a MuJoCo model, read from the model itself."""

import copy
import hashlib
from collections.abc import Iterator
from typing import Literal, get_args

import mujoco
import numpy as np

from mosim.errors import UnsupportedSystemError
from mosim.systems.frozen import Frozen
from mosim.systems.skeleton import JointKind, Skeleton, read_skeleton

IntegratorName = Literal["Euler", "RK4", "implicit", "implicitfast"]
"""In the order of MuJoCo's `mjtIntegrator`."""

QPOS_WIDTH: dict[JointKind, int] = {"free": 7, "ball": 4, "slide": 1, "hinge": 1}
DOF_WIDTH: dict[JointKind, int] = {"free": 6, "ball": 3, "slide": 1, "hinge": 1}

_PROBED_STATES = 64
"""States in which a coordinate is moved to see whether any force depends on it."""

_PROBED_DISTANCE = 3.0
"""How far it is moved at most, in metres or radians."""

_NO_LIMITS = int(mujoco.mjtDisableBit.mjDSBL_LIMIT | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
"""Options of MuJoCo under which no joint is held at its limits."""

UNLIMITED_CONTROL = 1.0
"""Bound given to an actuator without a control range, in actuator units, so that actions can be drawn."""

_PHYSICS_FIELDS = (
    "body_mass", "body_inertia", "body_ipos", "body_iquat", "body_pos", "body_quat", "body_gravcomp",
    "jnt_axis", "jnt_pos", "jnt_stiffness", "jnt_range", "jnt_limited", "qpos_spring",
    "dof_damping", "dof_armature", "dof_frictionloss",
    "actuator_gear", "actuator_gainprm", "actuator_biasprm", "actuator_trnid",
    "tendon_stiffness", "tendon_damping", "tendon_range", "wrap_prm",
)  # fmt: skip


class JointFacts(Frozen):
    """One joint. Addresses index `qpos` and `qvel`; the range is in radians or metres."""

    name: str
    kind: JointKind
    qpos_address: int
    dof_address: int
    limited: bool
    lower: float
    upper: float


class SystemFacts(Frozen):
    """A system: sizes, joints, control range and time step.

    Attributes:
      name: the system's name, such as `reacher`.
      nq, nv, nu: sizes of `qpos`, `qvel` and `ctrl`.
      timestep: seconds of one physics step.
      integrator: MuJoCo's integrator.
      joints: in MuJoCo's order.
      control_lower, control_upper: of shape `(nu,)`, in actuator units.
      cyclic: indices into `qpos` of coordinates that no force depends on, such as a runner's distance, found by moving
        them and looking at MuJoCo's accelerations.
      cyclic_unconstrained: the same with contacts and limits switched off, under which a runner's height counts too.
      heading_symmetric: whether the system is one tree on a free joint, whose accelerations, contacts and limits aside,
        turn with it about the vertical; found likewise.
      skeleton: the body's geometry.
      physics: a short digest of each group of physical constants, to tell two versions of a model apart.
    """

    name: str
    nq: int
    nv: int
    nu: int
    timestep: float
    integrator: IntegratorName
    joints: tuple[JointFacts, ...]
    control_lower: tuple[float, ...]
    control_upper: tuple[float, ...]
    cyclic: tuple[int, ...]
    cyclic_unconstrained: tuple[int, ...]
    heading_symmetric: bool
    skeleton: Skeleton
    physics: dict[str, str]

    @property
    def state_size(self) -> int:
        """Width of a state `[qpos, qvel]`."""
        return self.nq + self.nv

    @property
    def state_names(self) -> tuple[str, ...]:
        """A name for each dimension of the state, such as `qpos/shoulder` or `qvel/root[3]`."""
        return _names("qpos", self.joints, QPOS_WIDTH) + _names("qvel", self.joints, DOF_WIDTH)

    def differences(self, other: "SystemFacts") -> list[str]:
        """What tells two systems apart, a phrase each; the name alone does not count.

        Where the bodies differ, so that everything else does too, the bodies alone are told.
        """
        phrases = self._odd_fields(other, "nq", "nv", "nu")
        if self.joints != other.joints:
            ours, theirs = ({joint.name: joint for joint in facts.joints} for facts in (self, other))
            odd = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
            phrases.append(f"joints differ ({', '.join(odd)})")
        if phrases:
            return phrases
        phrases = self._odd_fields(other, "timestep", "integrator", "control_lower", "control_upper")
        fields = sorted(self.physics.keys() | other.physics.keys())
        if odd := [field for field in fields if self.physics.get(field) != other.physics.get(field)]:
            phrases.append(f"physical constants differ ({', '.join(odd)})")
        return phrases

    def _odd_fields(self, other: "SystemFacts", *fields: str) -> list[str]:
        return [
            f"{field} is {getattr(self, field)} against {getattr(other, field)}"
            for field in fields
            if getattr(self, field) != getattr(other, field)
        ]


def read_facts(model: mujoco.MjModel, name: str) -> SystemFacts:
    """Reads the facts of a compiled model.

    Raises:
      UnsupportedSystemError: the state is more than `[qpos, qvel]`, since an actuator or a plugin has a state of its
        own, or there is nothing that moves.
    """
    if model.na or model.npluginstate:
        raise UnsupportedSystemError(
            f"system {name!r} cannot be simulated: {model.na + model.npluginstate} internal states of its actuators "
            f"and plugins lie outside [qpos, qvel]; use actuators with dyntype 'none'."
        )
    if not model.nv:
        raise UnsupportedSystemError(f"system {name!r} cannot be simulated: its model has no joints.")
    limited = model.actuator_ctrllimited.astype(bool)
    unconstrained = copy.copy(model)
    unconstrained.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_LIMIT)
    return SystemFacts(
        name=name,
        nq=model.nq,
        nv=model.nv,
        nu=model.nu,
        timestep=model.opt.timestep,
        integrator=get_args(IntegratorName)[model.opt.integrator],
        joints=tuple(_read_joint(model, index) for index in range(model.njnt)),
        control_lower=tuple(np.where(limited, model.actuator_ctrlrange[:, 0], -UNLIMITED_CONTROL).tolist()),
        control_upper=tuple(np.where(limited, model.actuator_ctrlrange[:, 1], UNLIMITED_CONTROL).tolist()),
        cyclic=_cyclic_coordinates(model),
        cyclic_unconstrained=_cyclic_coordinates(unconstrained),
        heading_symmetric=_heading_symmetric(unconstrained),
        skeleton=read_skeleton(model),
        physics=_digests(model),
    )


def _read_joint(model: mujoco.MjModel, index: int) -> JointFacts:
    lower, upper = model.jnt_range[index].tolist()
    return JointFacts(
        name=model.joint(index).name or f"joint{index}",
        kind=_joint_kind(model, index),
        qpos_address=int(model.jnt_qposadr[index]),
        dof_address=int(model.jnt_dofadr[index]),
        limited=_limited(model, index),
        lower=lower,
        upper=upper,
    )


def _cyclic_coordinates(model: mujoco.MjModel) -> tuple[int, ...]:
    """Unlimited coordinates, quaternions aside, whose displacement changes no acceleration in any probed state."""
    if model.ntree != 1:
        return ()  # Where two trees can touch, a probe could miss the places where they do.
    candidates = {
        int(model.jnt_qposadr[index]) + axis
        for index in range(model.njnt)
        if not _limited(model, index)
        for axis in {"free": (0, 1, 2), "ball": (), "slide": (0,), "hinge": (0,)}[_joint_kind(model, index)]
    }
    random = np.random.default_rng(0)
    for data, qpos in _probes(model, random):
        accelerations = _accelerations(model, data, qpos)
        for index in sorted(candidates):
            moved = qpos.copy()
            moved[index] += random.uniform(-_PROBED_DISTANCE, _PROBED_DISTANCE)
            if not np.allclose(_accelerations(model, data, moved), accelerations, rtol=1e-4, atol=1e-4):
                candidates.discard(index)
    return tuple(sorted(candidates))


def _heading_symmetric(model: mujoco.MjModel) -> bool:
    if model.ntree != 1 or _joint_kind(model, 0) != "free":
        return False
    random = np.random.default_rng(0)
    for data, qpos in _probes(model, random):
        accelerations = _accelerations(model, data, qpos)
        angle = random.uniform(-np.pi, np.pi)
        turn, turned = np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)]), qpos.copy()
        mujoco.mju_rotVecQuat(turned[:3], qpos[:3], turn)
        mujoco.mju_mulQuat(turned[3:7], turn, qpos[3:7])
        # Angular velocities are in the body's own frame, so only the linear ones turn.
        mujoco.mju_rotVecQuat(data.qvel[:3], data.qvel[:3].copy(), turn)
        expected = accelerations.copy()
        mujoco.mju_rotVecQuat(expected[:3], accelerations[:3], turn)
        if not np.allclose(_accelerations(model, data, turned), expected, rtol=1e-4, atol=1e-4):
            return False
    return True


def _probes(model: mujoco.MjModel, random: np.random.Generator) -> Iterator[tuple[mujoco.MjData, np.ndarray]]:
    """Random states: data with velocities and controls set, and `qpos`."""
    data = mujoco.MjData(model)
    lower, upper = np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, (-1.0, 1.0)).T
    for _ in range(_PROBED_STATES):
        qpos = np.array(model.qpos0)
        mujoco.mj_integratePos(model, qpos, random.normal(size=model.nv), 1.0)
        data.qvel[:] = random.normal(size=model.nv)
        data.ctrl[:] = random.uniform(lower, upper)
        yield data, qpos


def _accelerations(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray) -> np.ndarray:
    data.qpos[:] = qpos
    data.qacc_warmstart[:] = 0
    mujoco.mj_forward(model, data)
    return data.qacc.copy()


def _limited(model: mujoco.MjModel, index: int) -> bool:
    return bool(model.jnt_limited[index]) and not model.opt.disableflags & _NO_LIMITS


def _joint_kind(model: mujoco.MjModel, index: int) -> JointKind:
    return get_args(JointKind)[model.jnt_type[index]]


def _digests(model: mujoco.MjModel) -> dict[str, str]:
    option = model.opt
    arrays = {field: getattr(model, field) for field in _PHYSICS_FIELDS}
    arrays["option"] = np.concatenate(
        [option.gravity, option.wind, [option.density, option.viscosity, option.disableflags, option.enableflags]]
    )
    # Rounded, since the last bits of a compiled model may differ between machines.
    return {
        field: hashlib.sha256(np.round(np.asarray(array, np.float64), 9).tobytes()).hexdigest()[:8]
        for field, array in arrays.items()
        if array.size
    }


def _names(prefix: str, joints: tuple[JointFacts, ...], width: dict[JointKind, int]) -> tuple[str, ...]:
    return tuple(
        f"{prefix}/{joint.name}" if width[joint.kind] == 1 else f"{prefix}/{joint.name}[{index}]"
        for joint in joints
        for index in range(width[joint.kind])
    )
