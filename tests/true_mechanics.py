"""MuJoCo's own numbers as a simulator learns them: what tests compare with."""

import mujoco
import numpy as np
import torch

from mosim.evaluation.identification.mjcf_mechanics import fluid_drag, servo_numbers
from mosim.geometry import fixed_tendons, rotation_of
from mosim.models.mosim.tree.articulated import ArticulatedPredictor, Mechanics
from mosim.robots import SystemFacts

_NOTHING = 1e-14
"""Square metres, added to second moments of a unit of mass: a rod or a point has none in some direction."""


def true_mechanics(model: mujoco.MjModel, facts: SystemFacts, predictor: ArticulatedPredictor) -> Mechanics:
    """The model's masses, armature, damping, springs, motors at joints and servos."""
    carriers = predictor.tree.motion.carriers
    inertias = np.zeros((len(carriers), 4, 4))
    for index, body in enumerate(facts.skeleton.bodies, start=1):
        if body.link in carriers:
            inertias[carriers.index(body.link)] += _of_body(model, index, body)
    inertias += _NOTHING * inertias[:, 3:, 3:] * np.eye(4)
    plain = [joint for joint in facts.joints if joint.kind in ("hinge", "slide")]
    ids = [index for index, joint in enumerate(facts.joints) if joint.kind in ("hinge", "slide")]
    constant = np.zeros(facts.nv)
    for index, joint in zip(ids, plain, strict=True):
        constant[joint.dof_address] = model.jnt_stiffness[index] * model.qpos_spring[joint.qpos_address]
    tendons = fixed_tendons(model)
    return Mechanics(
        pseudo_inertia=torch.from_numpy(inertias),
        armature=torch.from_numpy(model.dof_armature.copy()),
        damping=torch.from_numpy(model.dof_damping.copy()),
        constant=torch.from_numpy(constant),
        stiffness=torch.from_numpy(model.jnt_stiffness[ids].copy()),
        gear=torch.from_numpy(_gear(model)),
        tendon_stiffness=torch.from_numpy(model.tendon_stiffness[tendons].copy()),
        drag=torch.from_numpy(fluid_drag(model, facts)),
        tendon_damping=torch.from_numpy(model.tendon_damping[tendons].copy()),
        dry_friction=torch.from_numpy(model.dof_frictionloss.copy()),
        servos=torch.from_numpy(servo_numbers(model, facts)),
    )


def _of_body(model: mujoco.MjModel, index: int, body) -> np.ndarray:
    frame, own = np.eye(4), np.eye(4)
    frame[:3, :3], frame[:3, 3] = rotation_of(body.quaternion), body.position
    own[:3, :3], own[:3, 3] = rotation_of(model.body_iquat[index]), model.body_ipos[index]
    mass, inertia = model.body_mass[index], model.body_inertia[index]
    moments = np.diag([*(inertia.sum() / 2 - inertia), mass])
    return frame @ own @ moments @ own.T @ frame.T


def _gear(model: mujoco.MjModel) -> np.ndarray:
    """Forces of one unit of each control, at rest in the model's own pose."""
    data = mujoco.MjData(model)
    gear = np.zeros((model.nv, model.nu))
    for index in range(model.nu):
        data.ctrl[:] = 0
        mujoco.mj_forward(model, data)
        before = data.qfrc_actuator.copy()
        data.ctrl[index] = step = 0.1 * (model.actuator_ctrlrange[index, 1] or 1.0)
        mujoco.mj_forward(model, data)
        gear[:, index] = (data.qfrc_actuator - before) / step
    return gear
