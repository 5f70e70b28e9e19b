"""What the rest of mosim needs to know of a MuJoCo model, read from the model itself."""

import copy
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import zip_longest
from typing import Literal, get_args

import mujoco
import numpy as np

from mosim.core.errors import MismatchError, UnsupportedSystemError
from mosim.core.frozen import Frozen
from mosim.core.names import free_name
from mosim.geometry import JointFacts, JointKind, Skeleton, Vector, read_skeleton
from mosim.robots.physics import differing_fields, physics_digests
from mosim.robots.servos import ServoFacts, read_servos
from mosim.robots.state_layout import ActivationFacts, StateLayout

IntegratorName = Literal["Euler", "RK4", "implicit", "implicitfast"]
"""In the order of MuJoCo's `mjtIntegrator`."""

_PROBED_STATES = 64
"""States in which a coordinate is moved to see whether any force depends on it."""

_PROBED_DISTANCE = 3.0
"""How far it is moved at most, in metres or radians."""

_NO_MOMENT = 1e-9
"""Metres, or none: of an actuator's moment, below which it is rounding."""

_NO_LIMITS = int(mujoco.mjtDisableBit.mjDSBL_LIMIT | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
"""Options of MuJoCo under which no joint is held at its limits."""

_NO_DRY_FRICTION = int(mujoco.mjtDisableBit.mjDSBL_FRICTIONLOSS | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)

_NO_GRAVITY = int(mujoco.mjtDisableBit.mjDSBL_GRAVITY)

_DYNAMICS_NAMES = ("integrator", "filter", "filterexact", "muscle")
_DYNAMICS = [int(getattr(mujoco.mjtDyn, f"mjDYN_{name.upper()}")) for name in _DYNAMICS_NAMES]
"""Kinds of actuators' dynamics whose next state follows from the state and the control, one number each."""

UNLIMITED_CONTROL = 1.0
"""Bound given to an actuator without a control range, in actuator units, so that actions can be drawn."""

_NAMED_FIELDS = 8
"""Fields of the model in a sentence, at most."""


class SystemFacts(Frozen):
    """A system: sizes, joints, control range and time step.

    Attributes:
      name: the system's name, such as `reacher`.
      nq, nv, nu: sizes of `qpos`, `qvel` and `ctrl`.
      timestep: seconds of one physics step.
      integrator: MuJoCo's integrator.
      gravity: in the world's frame, metres a second squared; zero where it is switched off. Like the floor, it is of
        the place that a robot stands in, and no number of the robot's own.
      wind: velocity of the fluid that bodies move in, in the world's frame, metres a second; of that place too. None
        without a fluid; how dense and viscous one is, is not told.
      joints: in MuJoCo's order.
      activations: internal states of actuators, in MuJoCo's order; most systems have none.
      control_lower, control_upper: of shape `(nu,)`, in actuator units.
      actuated: by control, the degrees of freedom that its force can act on; in which ratio is not told.
      servos: actuators whose force can reach a limit, in MuJoCo's order.
      cyclic: indices into `qpos` of coordinates that no force depends on, such as a runner's distance, found by moving
        them and looking at MuJoCo's accelerations.
      cyclic_unconstrained: the same with contacts and limits switched off, under which a runner's height counts too.
      heading_symmetric: whether the system is one tree on a free joint, whose accelerations, contacts and limits aside,
        turn with it about the vertical; found likewise.
      skeleton: the body's geometry.
      physics: a short digest of each field of the model that changes motion, to tell two versions of a model apart;
        see `mosim.robots.physics`.
    """

    name: str
    nq: int
    nv: int
    nu: int
    timestep: float
    integrator: IntegratorName
    gravity: Vector
    wind: Vector | None
    joints: tuple[JointFacts, ...]
    activations: tuple[ActivationFacts, ...] = ()
    control_lower: tuple[float, ...]
    control_upper: tuple[float, ...]
    actuated: tuple[tuple[int, ...], ...]
    servos: tuple[ServoFacts, ...] = ()
    cyclic: tuple[int, ...]
    cyclic_unconstrained: tuple[int, ...]
    heading_symmetric: bool
    skeleton: Skeleton
    physics: dict[str, str]

    @cached_property
    def layout(self) -> StateLayout:
        """What a state is made of."""
        return StateLayout(joints=self.joints, activations=self.activations)

    @property
    def state_size(self) -> int:
        """Width of a state."""
        return self.layout.size

    @property
    def state_names(self) -> tuple[str, ...]:
        """A name for each dimension of the state, such as `qpos/shoulder` or `qvel/root[3]`."""
        return self.layout.names

    @cached_property
    def driven(self) -> "SystemFacts":
        """The system with its activations as further controls, after its own, and no state but `[qpos, qvel]`."""
        if not self.activations:
            return self
        bounds = {
            "control_lower": self.control_lower + tuple(each.lower for each in self.activations),
            "control_upper": self.control_upper + tuple(each.upper for each in self.activations),
        }
        actuated = self.actuated + tuple(self.actuated[each.actuator] for each in self.activations)
        states = {each.actuator: self.nu + index for index, each in enumerate(self.activations)}
        servos = tuple(
            each.model_copy(update={"control": states.get(each.control, each.control)}) for each in self.servos
        )
        sizes = {"nu": self.nu + len(self.activations), "activations": ()}
        return self.model_copy(update={**sizes, "actuated": actuated, "servos": servos, **bounds})

    def differences(self, other: "SystemFacts") -> list[str]:
        """What tells two systems apart, a phrase each; what they and their joints are called does not count.

        Where the bodies differ, so that everything else does too, the bodies alone are named.
        """
        phrases = self._odd_fields(other, "nq", "nv", "nu")
        pairs = zip_longest(self.joints, other.joints)
        if odd := [joint.name for ours, theirs in pairs if not _same_joint(ours, theirs) and (joint := ours or theirs)]:
            phrases.append(f"joints differ ({', '.join(odd)})")
        if phrases:
            return phrases
        if self.activations != other.activations:
            phrases.append("internal states of actuators differ")
        phrases += self._odd_fields(other, "timestep", "integrator", "control_lower", "control_upper")
        if odd := differing_fields(self.physics, other.physics):
            more = f" and {len(odd) - _NAMED_FIELDS} more" if len(odd) > _NAMED_FIELDS else ""
            phrases.append(f"physical constants differ ({', '.join(odd[:_NAMED_FIELDS])}{more})")
        return phrases

    def _odd_fields(self, other: "SystemFacts", *fields: str) -> list[str]:
        return [
            f"{field} is {getattr(self, field)} instead of {getattr(other, field)}"
            for field in fields
            if getattr(self, field) != getattr(other, field)
        ]


def require_fit(found: SystemFacts, wanted: SystemFacts, what: str, task: str = "") -> None:
    """Checks that two descriptions are of one system.

    Args:
      found: of what is checked.
      wanted: what it must be.
      what: is checked, such as "the dataset at data/arm".
      task: whose system `wanted` is; empty for a system without a task.

    Raises:
      MismatchError: they are not; names `what` and each fact that differs.
    """
    if wrong := found.differences(wanted):
        whose = f"task {task}" if task else f"system {wanted.name}"
        raise MismatchError(f"{what} does not fit {whose}: {'; '.join(wrong)}.")


def read_facts(model: mujoco.MjModel, name: str, varying: Mapping[str, np.ndarray] | None = None) -> SystemFacts:
    """Reads the facts of a compiled model.

    Args:
      model: the compiled model.
      name: names the system.
      varying: what of the model differs from episode to episode, see `physics_digests`.

    Raises:
      UnsupportedSystemError: the state is more than `[qpos, qvel, act]`, or there is nothing that moves.
    """
    if hidden := "; ".join(
        f"{what} are not part of [qpos, qvel, act]; {advice}" for what, advice in _hidden_states(model)
    ):
        raise UnsupportedSystemError(f"system {name!r} cannot be simulated: {hidden}.")
    if not model.nv:
        raise UnsupportedSystemError(f"system {name!r} cannot be simulated: its model has no joints.")
    limited = model.actuator_ctrllimited.astype(bool)
    control_lower = np.where(limited, model.actuator_ctrlrange[:, 0], -UNLIMITED_CONTROL)
    control_upper = np.where(limited, model.actuator_ctrlrange[:, 1], UNLIMITED_CONTROL)
    unconstrained = copy.copy(model)
    unconstrained.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_LIMIT)
    return SystemFacts(
        name=name,
        nq=model.nq,
        nv=model.nv,
        nu=model.nu,
        timestep=model.opt.timestep,
        integrator=get_args(IntegratorName)[model.opt.integrator],
        gravity=(0.0, 0.0, 0.0) if model.opt.disableflags & _NO_GRAVITY else tuple(model.opt.gravity.tolist()),
        wind=tuple(model.opt.wind.tolist()) if model.opt.density > 0 or model.opt.viscosity > 0 else None,
        joints=tuple(_read_joints(model)),
        activations=tuple(_read_activations(model)),
        control_lower=tuple(control_lower.tolist()),
        control_upper=tuple(control_upper.tolist()),
        actuated=_actuated(model),
        servos=tuple(read_servos(model, control_lower, control_upper)),
        cyclic=_cyclic_coordinates(model),
        cyclic_unconstrained=_cyclic_coordinates(unconstrained),
        heading_symmetric=_heading_symmetric(unconstrained),
        skeleton=read_skeleton(model),
        physics=physics_digests(model, varying),
    )


def _hidden_states(model: mujoco.MjModel) -> Iterator[tuple[str, str]]:
    """What decides motion beside `[qpos, qvel, act]` and the controls of one step, and how to do without.

    Not among them: positions of mocap bodies, which only an episode's context moves; user data, which no model reads;
    and the solver's warm start, which changes its result by no more than its tolerance.
    """
    if odd := np.flatnonzero((model.actuator_actnum > 0) & ~np.isin(model.actuator_dyntype, _DYNAMICS)).tolist():
        names = ", ".join(repr(model.actuator(index).name or f"actuator {index}") for index in odd)
        yield f"the internal states of {names}", f"use a dyntype of none, {', '.join(_DYNAMICS_NAMES)}"
    if delayed := np.flatnonzero((model.actuator_delay > 0) | (model.actuator_history[:, 0] > 0)).tolist():
        names = ", ".join(repr(model.actuator(index).name or f"actuator {index}") for index in delayed)
        yield f"the earlier controls of {names}", "remove the delay"
    if model.npluginstate:
        yield f"{model.npluginstate} internal states of plugins", "remove these plugins"
    if model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP:
        yield "the sleeping bodies", "disable the option sleep"


def _read_activations(model: mujoco.MjModel) -> Iterator[ActivationFacts]:
    for actuator in np.flatnonzero(model.actuator_actnum > 0).tolist():
        limited = bool(model.actuator_actlimited[actuator])
        if limited:
            lower, upper = model.actuator_actrange[actuator].tolist()
        elif model.actuator_ctrllimited[actuator]:
            lower, upper = model.actuator_ctrlrange[actuator].tolist()
        else:
            lower, upper = -UNLIMITED_CONTROL, UNLIMITED_CONTROL
        name = model.actuator(actuator).name or f"actuator{actuator}"
        yield ActivationFacts(name=name, actuator=actuator, limited=limited, lower=lower, upper=upper)


def _read_joints(model: mujoco.MjModel) -> Iterator[JointFacts]:
    taken = {model.joint(index).name for index in range(model.njnt)}
    for index in range(model.njnt):
        name = model.joint(index).name or free_name(f"joint{index}", taken)
        taken.add(name)
        lower, upper = model.jnt_range[index].tolist()
        yield JointFacts(
            name=name,
            kind=_joint_kind(model, index),
            qpos_address=int(model.jnt_qposadr[index]),
            dof_address=int(model.jnt_dofadr[index]),
            limited=_limited(model, index),
            lower=lower,
            upper=upper,
            dry_friction=_rubs(model, index),
        )


def _rubs(model: mujoco.MjModel, joint: int) -> bool:
    dofs = model.dof_jntid == joint
    return bool(model.dof_frictionloss[dofs].any()) and not model.opt.disableflags & _NO_DRY_FRICTION


def _same_joint(ours: JointFacts | None, theirs: JointFacts | None) -> bool:
    if ours is None or theirs is None:
        return False
    return ours == theirs.model_copy(update={"name": ours.name})


def _actuated(model: mujoco.MjModel) -> tuple[tuple[int, ...], ...]:
    """By actuator, the degrees of freedom that it moves in some of many random poses."""
    reached, moments = np.zeros((model.nu, model.nv), dtype=bool), np.zeros((model.nu, model.nv))
    for data, qpos in _probes(model, np.random.default_rng(0)):
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        sparse = (data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind)
        mujoco.mju_sparse2dense(moments, *sparse)
        reached |= np.abs(moments) > _NO_MOMENT
    # What sticks to whatever it touches can act on all.
    reached[model.actuator_trntype == int(mujoco.mjtTrn.mjTRN_BODY)] = True
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in reached)


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
