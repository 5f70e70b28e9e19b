"""MuJoCo's own numbers of a model, as an articulated predictor learns them: what these are compared with."""

from typing import NamedTuple

import mujoco
import numpy as np
import torch

from mosim.core.errors import MismatchError
from mosim.geometry import WORLD, Frame, fixed_tendons, rotation_of, sum_matrix, tendon_weights
from mosim.models import Mechanics, common_axes, drag_places, first_alike, pose_of
from mosim.robots import System, SystemFacts

_NOTHING = 1e-14
"""Square metres, added to second moments of a unit of mass: a rod or a point has none in some direction."""

_APART = 1e-6
"""Metres, or parts of unit quaternions and axes, by which two drawings of one robot may differ."""


class Drive(NamedTuple):
    """One number of an actuator's `gear`, and what it does.

    Attributes:
      actuator: which.
      component: which number of its gear.
      label: such as `slide`, or `wrist[1]` of an actuator with several.
      direction: `(nv,)`: generalised force of a unit of actuator force at a gear of one.
      tendon: that it acts on, as an index into the skeleton's; None of one that acts on a single joint.
      gain: actuator force of a unit of control; `gainprm[0]`.
    """

    actuator: int
    component: int
    label: str
    direction: np.ndarray
    tendon: int | None
    gain: float


class MjcfMechanics(NamedTuple):
    """The numbers of a MuJoCo model.

    Attributes:
      source: what the model was loaded from.
      mechanics: with what actuators' bias adds to springs, damping and constants.
      drives: of actuators that act on joints, or on fixed tendons of them; servos aside.
      others: names of the other actuators, whose forces depend on the pose.
    """

    source: str
    mechanics: Mechanics
    drives: tuple[Drive, ...]
    others: tuple[str, ...]


def mjcf_mechanics(system: System) -> MjcfMechanics:
    """Reads what a predictor of the same robot would learn, were it exact.

    Springs of tendons along paths in space, gravity compensation, ellipsoids in fluids (`fluidshape`) and equality
    constraints are not part of it.
    """
    model, facts = system.model, system.facts
    drives, others = _drives(model)
    ids = [index for index, joint in enumerate(facts.joints) if joint.kind in ("hinge", "slide")]
    addresses = [facts.joints[index].dof_address for index in ids]
    stiffness, damping, constant = np.zeros(model.nv), model.dof_damping.copy(), np.zeros(model.nv)
    for tendon in range(model.ntendon):
        weights = tendon_weights(model, tendon)
        if weights is not None and np.count_nonzero(weights) == 1:
            [joint] = np.flatnonzero(weights)
            dof, weight = int(model.jnt_dofadr[joint]), float(weights[joint])
            stiffness[dof] += model.tendon_stiffness[tendon] * weight**2
            damping[dof] += model.tendon_damping[tendon] * weight**2
            constant[dof] += model.tendon_stiffness[tendon] * model.tendon_lengthspring[tendon].mean() * weight
    tendons, links = fixed_tendons(model), facts.skeleton.links
    pulls = sum_matrix(facts.skeleton.tendons, [link.dof_address for link in links], model.nv)
    tendon_stiffness, tendon_damping = model.tendon_stiffness[tendons].copy(), model.tendon_damping[tendons].copy()
    constant += (tendon_stiffness * model.tendon_lengthspring[tendons].mean(-1)) @ pulls
    for index, dof in zip(ids, addresses, strict=True):
        stiffness[dof] = model.jnt_stiffness[index]
        constant[dof] = stiffness[dof] * model.qpos_spring[facts.joints[index].qpos_address]
    served = {servo.control for servo in facts.servos}
    for drive in drives:
        if model.actuator_biastype[drive.actuator] != mujoco.mjtBias.mjBIAS_AFFINE or drive.actuator in served:
            continue
        offset, of_length, of_speed = model.actuator_biasprm[drive.actuator, :3]
        gear = model.actuator_gear[drive.actuator, drive.component]
        constant += offset * gear * drive.direction
        if drive.tendon is None:
            stiffness -= of_length * (gear * drive.direction) ** 2
            damping -= of_speed * (gear * drive.direction) ** 2
        else:
            tendon_stiffness[drive.tendon] -= of_length * gear**2
            tendon_damping[drive.tendon] -= of_speed * gear**2
    mechanics = Mechanics(
        pseudo_inertia=torch.from_numpy(_pseudo_inertias(model, facts)),
        armature=torch.from_numpy(model.dof_armature.copy()),
        damping=torch.from_numpy(damping),
        constant=torch.from_numpy(constant),
        stiffness=torch.from_numpy(stiffness[addresses]),
        gear=torch.from_numpy(_gear(model)),
        tendon_stiffness=torch.from_numpy(tendon_stiffness),
        tendon_damping=torch.from_numpy(tendon_damping),
        drag=torch.from_numpy(fluid_drag(model, facts)),
        dry_friction=torch.from_numpy(model.dof_frictionloss.copy()),
        servos=torch.from_numpy(servo_numbers(model, facts)),
    )
    drives = tuple(drive for drive in drives if drive.actuator not in served)
    return MjcfMechanics(system.source, mechanics, drives, others)


def servo_numbers(model: mujoco.MjModel, facts: SystemFacts) -> np.ndarray:
    """Of actuators whose force is limited, `(servos, numbers)`: see `Servos`; the gear's size is part of them."""
    servos = [servo.control for servo in facts.servos]
    gear, gain = np.abs(model.actuator_gear[servos, :1]), model.actuator_gainprm[servos, :1]
    affine = model.actuator_biastype[servos, None] == mujoco.mjtBias.mjBIAS_AFFINE
    offset, of_length, of_speed = np.split(affine * model.actuator_biasprm[servos, :3], 3, axis=-1)
    limits = gear * model.actuator_forcerange[servos]
    return np.concatenate([gear * gain, -(gear**2) * of_length, -(gear**2) * of_speed, gear * offset, limits], axis=-1)


def fluid_drag(model: mujoco.MjModel, facts: SystemFacts) -> np.ndarray:
    """What a fluid does to a model's inertia boxes, `(numbers,)`: see `FluidDrag`.

    By the formulas of "Fluid forces" in MuJoCo's documentation. A body whose inertia's frame is none of its places is
    dragged at the one for all of its shapes.
    """
    places = () if facts.wind is None else tuple(drag_places(facts.skeleton))
    density, viscosity, drag = model.opt.density, model.opt.viscosity, np.zeros((len(places), 8))
    for body in sorted({place.body for place in places}):
        box, pose = _inertia_box(model, body + 1), _inertial_pose(model, body + 1, facts.skeleton.bodies[body])
        squares, diameter = box**4, box.mean()
        turning = density * box * (squares.sum() - squares) / 64
        sliding = density * box.prod() / box / 2
        at = [index for index, place in enumerate(places) if place.body == body]
        axes = [common_axes(places[index].pose, pose) for index in at]
        place, order = next(((i, order) for i, order in zip(at, axes, strict=True) if order is not None), (at[0], None))
        if order is None:
            order = np.abs(places[place].pose[:3, :3].T @ pose[:3, :3]).argmax(-1)
        viscous = np.pi * viscosity * np.array([diameter**3, 3 * diameter])
        drag[place] = [*turning[order], *sliding[order], *viscous]
    first = first_alike(places).flatten()
    return np.bincount(first, drag.flatten(), drag.size)[np.unique(first)].astype(np.float64)


def _inertia_box(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Edges of the box, `(3,)`, that has a body's mass and inertia."""
    inertia, mass = model.body_inertia[body], model.body_mass[body]
    return np.sqrt(np.maximum(mujoco.mjMINVAL, inertia.sum() - 2 * inertia) / mass * 6) if mass else np.zeros(3)


def _inertial_pose(model: mujoco.MjModel, index: int, body: Frame) -> np.ndarray:
    """Of a body's inertia in the frame of its link, `(4, 4)`."""
    own = np.eye(4)
    own[:3, :3], own[:3, 3] = rotation_of(model.body_iquat[index]), model.body_ipos[index]
    return pose_of(body) @ own


def require_same_drawing(found: SystemFacts, wanted: SystemFacts, what: str) -> None:
    """Checks that two models have the same joints and frames, so that their masses can be compared one by one.

    Raises:
      MismatchError: they do not; names `what` and the first thing that differs.
    """
    if (found.nq, found.nv, found.nu) != (wanted.nq, wanted.nv, wanted.nu):
        sizes = f"nq, nv, nu are {found.nq}, {found.nv}, {found.nu} instead of {wanted.nq}, {wanted.nv}, {wanted.nu}"
        raise MismatchError(f"{what} is a different robot from {wanted.name}: {sizes}.")
    ours, theirs = found.skeleton, wanted.skeleton
    for joint, link, other in zip(wanted.joints, ours.links, theirs.links, strict=True):
        same = (link.parent, link.kind) == (other.parent, other.kind)
        places = [
            (*each.position, *each.quaternion, *each.axis, *each.anchor, each.reference) for each in (link, other)
        ]
        if not same or not np.allclose(*places, rtol=0, atol=_APART):
            raise MismatchError(
                f"{what} has a different geometry from {wanted.name}: joint {joint.name} is in a different place."
            )
    if [body.link for body in ours.bodies] != [body.link for body in theirs.bodies]:
        raise MismatchError(
            f"{what} has a different geometry from {wanted.name}: its bodies are connected differently."
        )


def _drives(model: mujoco.MjModel) -> tuple[tuple[Drive, ...], tuple[str, ...]]:
    drives, others, tendons = [], [], fixed_tendons(model)
    for index in range(model.nu):
        name = model.actuator(index).name or f"ctrl[{index}]"
        target, kind = int(model.actuator_trnid[index, 0]), int(model.actuator_trntype[index])
        gain = float(model.actuator_gainprm[index, 0])
        directions = _directions(model, target, kind)
        biased = model.actuator_biastype[index] != mujoco.mjtBias.mjBIAS_NONE
        plain = model.actuator_gaintype[index] == mujoco.mjtGain.mjGAIN_FIXED
        if not plain or directions is None or not gain or (biased and len(directions) > 1):
            others.append(name)
            continue
        of_several = kind == mujoco.mjtTrn.mjTRN_TENDON and target in tendons
        tendon = tendons.index(target) if of_several else None
        for component, direction in enumerate(directions):
            label = name if len(directions) == 1 else f"{name}[{component}]"
            drives.append(Drive(index, component, label, direction, tendon, gain))
    return tuple(drives), tuple(others)


def _directions(model: mujoco.MjModel, target: int, kind: int) -> np.ndarray | None:
    """Generalised forces, `(components, nv)`, at gears of one each; None where they depend on the pose."""
    if kind == mujoco.mjtTrn.mjTRN_JOINT:
        first = int(model.jnt_dofadr[target])
        width = {int(mujoco.mjtJoint.mjJNT_FREE): 6, int(mujoco.mjtJoint.mjJNT_BALL): 3}
        return np.eye(model.nv)[first : first + width.get(int(model.jnt_type[target]), 1)]
    if kind == mujoco.mjtTrn.mjTRN_TENDON:
        weights = tendon_weights(model, target)
        if weights is None:
            return None
        direction = np.zeros((1, model.nv))
        np.add.at(direction[0], model.jnt_dofadr, weights)
        return direction
    return None


def _gear(model: mujoco.MjModel) -> np.ndarray:
    """Forces, `(nv, nu)`, of one unit of each control in the model's own pose."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    moment = np.zeros((model.nu, model.nv))
    mujoco.mju_sparse2dense(moment, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind)
    return (model.actuator_gainprm[:, :1] * moment).T


def _pseudo_inertias(model: mujoco.MjModel, facts: SystemFacts) -> np.ndarray:
    """Of the links that carry bodies, `(carriers, 4, 4)`, in their own frames."""
    carriers = sorted({body.link for body in facts.skeleton.bodies} - {WORLD})
    inertias = np.zeros((len(carriers), 4, 4))
    for index, body in enumerate(facts.skeleton.bodies, start=1):
        if body.link != WORLD:
            inertias[carriers.index(body.link)] += _of_body(model, index, body)
    return inertias + _NOTHING * inertias[:, 3:, 3:] * np.eye(4)


def _of_body(model: mujoco.MjModel, index: int, body: Frame) -> np.ndarray:
    pose, mass, inertia = _inertial_pose(model, index, body), model.body_mass[index], model.body_inertia[index]
    return pose @ np.diag([*(inertia.sum() / 2 - inertia), mass]) @ pose.T
