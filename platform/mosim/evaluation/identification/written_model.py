"""A learned robot as an MJCF file: its own model with the learned numbers in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor

from mosim.evaluation.identification.contact_numbers import geom_of, pair_friction
from mosim.evaluation.identification.identified import articulated
from mosim.evaluation.identification.mjcf_mechanics import MjcfMechanics, mjcf_mechanics
from mosim.geometry import WORLD, fixed_tendons
from mosim.models import INERTIAL, MechanicalParameters, Mechanics, NeuralSimulator, centre_and_inertia
from mosim.robots import System, editable_model, write_mjcf

_NOTABLE = 1e-4
"""Share of a number's scale from which it is told that it cannot be written."""

_ELSEWHERE = 1e-3
"""Share of an actuator's force from which it is told that it acts in another ratio than the gear's."""

_NO_SPRING = 1e-9
"""Share of a stiffness' scale below which it is written as none."""


class WrittenModel(NamedTuple):
    """An MJCF file that was written.

    Attributes:
      system: what MuJoCo loads from it.
      unwritten: what of the simulator it does not hold, a sentence each without a full stop.
    """

    system: System
    unwritten: tuple[str, ...]


def write_learned(path: Path, simulator: NeuralSimulator, mechanics: Mechanics, system: System) -> WrittenModel:
    """Writes a system's own model with a simulator's numbers, whole or not at all.

    All mass of a link is written to its first body; bodies welded to it have none.

    Args:
      path: the file.
      simulator: with an articulated predictor.
      mechanics: its numbers, with the scale of each tree's forces set.
      system: that it models.

    Raises:
      MosimError: see `editable_model` and `write_mjcf`.
    """
    parameters = MechanicalParameters(simulator.facts, articulated(simulator, "the simulator"))
    own = mjcf_mechanics(system)
    spec = editable_model(system)
    mechanics = Mechanics(*(part.detach() for part in mechanics))
    _write_bodies(spec, simulator, parameters.of(mechanics))
    rest = _write_tendons(spec, system.model, parameters, mechanics)
    unwritten = [
        *_write_joints(spec, simulator, parameters, mechanics._replace(constant=rest)),
        *_write_actuators(spec, system.model, own, mechanics),
        *_write_servos(spec, system, mechanics),
        *_write_contacts(spec, simulator, system.model),
    ]
    if simulator.correctors:
        unwritten.append("the accelerations that the simulator's correctors add cannot be written as MJCF attributes")
    if kept := ", ".join(_kept(system.model)):
        unwritten.append(f"these properties of the model are not learned and are kept unchanged: {kept}")
    comment = f"identify: {system.facts.name} with the parameters that a simulator has learned"
    return WrittenModel(write_mjcf(spec, system, path, comment), tuple(unwritten))


def _write_bodies(spec: mujoco.MjSpec, simulator: NeuralSimulator, values: Tensor) -> None:
    """Writes the ten numbers of each link, the first of a `MechanicalParameters`."""
    compiler = spec.compiler
    compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
    compiler.boundmass, compiler.boundinertia, compiler.settotalmass, compiler.balanceinertia = 0, 0, -1, False
    links = [body.link for body in simulator.facts.skeleton.bodies]
    carriers = sorted(set(links) - {WORLD})
    written = set()
    for body in spec.bodies:
        if body.id < 1 or (link := links[body.id - 1]) == WORLD:
            continue
        body.explicitinertial = True
        body.fullinertia = np.full(6, np.nan)  # Not given.
        body.ipos, body.iquat, body.mass, body.inertia = np.zeros(3), np.array([1.0, 0, 0, 0]), 0.0, np.zeros(3)
        if link in written:
            continue
        written.add(link)
        ten = values[INERTIAL * carriers.index(link) :][:INERTIAL]
        mass, centre, inertia = (part.numpy() for part in centre_and_inertia(ten))
        moments, axes = np.linalg.eigh(inertia)
        axes[:, 2] *= np.linalg.det(axes)  # A rotation, not a reflection.
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, axes.flatten())
        body.mass, body.ipos, body.iquat, body.inertia = float(mass), centre, quaternion, moments


def _write_joints(
    spec: mujoco.MjSpec, simulator: NeuralSimulator, parameters: MechanicalParameters, mechanics: Mechanics
) -> Iterator[str]:
    scales = parameters.mechanics(parameters.scale)
    springs = {dof: place for place, dof in enumerate(parameters.sprung)}
    for joint in spec.joints:
        facts = simulator.facts.joints[joint.id]
        dofs = facts.dofs
        for name in ("armature", "damping", *(["frictionloss"] if facts.dry_friction else [])):
            field = "dry_friction" if name == "frictionloss" else name
            values, scale = (getattr(each, field)[list(dofs)].numpy() for each in (mechanics, scales))
            # One number stands for all degrees of freedom of a ball or free joint.
            value = float(values.mean()) if len(dofs) == 1 or (values > _NOTABLE * scale).all() else 0.0
            setattr(joint, name, np.array([value, 0.0, 0.0]) if name == "damping" else value)
            if (abs(values - value) > _NOTABLE * scale).any():
                learned = ", ".join(f"{one:.3g}" for one in values)
                yield f"joint {facts.name} has one {name} in an MJCF, not the learned {learned}; {value:.3g} is written"
        joint.springdamper = np.zeros(2)
        stiffness = springref = 0.0
        for dof in dofs:
            constant, size = float(mechanics.constant[dof]), float(scales.constant[dof])
            if dof in springs and mechanics.stiffness[springs[dof]] > _NO_SPRING * scales.stiffness[springs[dof]]:
                stiffness = float(mechanics.stiffness[springs[dof]])
                springref = constant / stiffness
            elif abs(constant) > _NOTABLE * size:
                unit = parameters.each[parameters.place("constant", dof)].unit
                yield (
                    f"the constant force of {constant:.3g} {unit} on {parameters.dofs[dof]} cannot be written as an "
                    "MJCF attribute"
                )
        degrees = spec.compiler.degree and facts.kind == "hinge"
        joint.stiffness, joint.springref = (
            np.array([stiffness, 0.0, 0.0]),
            np.degrees(springref) if degrees else springref,
        )


def _write_tendons(
    spec: mujoco.MjSpec, model: mujoco.MjModel, parameters: MechanicalParameters, mechanics: Mechanics
) -> Tensor:
    """Writes those of fixed tendons; returns the constant forces, `(nv,)`, that their rest lengths leave of joints'."""
    scales, constant = parameters.mechanics(parameters.scale), mechanics.constant.clone()
    stiffness = mechanics.tendon_stiffness
    stiffness = torch.where(stiffness > _NO_SPRING * scales.tendon_stiffness, stiffness, 0.0)
    lengths = torch.zeros_like(stiffness)
    springless = torch.ones(len(constant), dtype=torch.bool)  # The constant of a joint with a spring is its reference.
    springless[list(parameters.sprung)] = mechanics.stiffness <= _NO_SPRING * scales.stiffness
    if stiffness.any():
        pulls = (stiffness.unsqueeze(-1) * parameters.pulls).mT
        lengths = torch.linalg.lstsq(pulls[springless], constant[springless].unsqueeze(-1), driver="gelsd").solution
        lengths = lengths.squeeze(-1)
        constant -= pulls @ lengths
    for tendon, spring, damping, length in zip(
        fixed_tendons(model), stiffness, mechanics.tendon_damping, lengths, strict=True
    ):
        spec.tendons[tendon].stiffness = np.array([float(spring), 0.0, 0.0])
        spec.tendons[tendon].damping = np.array([float(damping), 0.0, 0.0])
        spec.tendons[tendon].springlength = np.full(2, float(length))
    return constant


def _write_actuators(
    spec: mujoco.MjSpec, model: mujoco.MjModel, own: MjcfMechanics, mechanics: Mechanics
) -> Iterator[str]:
    actuators = {actuator.id: actuator for actuator in spec.actuators}
    rest = mechanics.gear.numpy().copy()
    for drive in own.drives:
        direction = drive.direction
        force = float(direction @ rest[:, drive.actuator] / (direction @ direction))
        rest[:, drive.actuator] -= force * direction
        actuator = actuators[drive.actuator]
        gear = np.array(actuator.gear)
        gear[drive.component] = force / drive.gain
        actuator.gear = gear
        if actuator.biastype != mujoco.mjtBias.mjBIAS_NONE:
            actuator.biastype = mujoco.mjtBias.mjBIAS_NONE
            yield (
                f"the bias of actuator {drive.label} is written as stiffness, damping and rest position of its "
                f"{'joint' if drive.tendon is None else 'tendon'}"
            )
    for index in sorted({drive.actuator for drive in own.drives}):
        share = np.linalg.norm(rest[:, index]) / max(np.linalg.norm(mechanics.gear[:, index].numpy()), 1e-300)
        if share > _ELSEWHERE:
            name = model.actuator(index).name or f"ctrl[{index}]"
            yield f"{share:.1%} of the force of actuator {name} acts on its joints in another ratio than its gear"
    for name in own.others:
        yield f"the force of actuator {name} is not a fixed gear in MuJoCo, so its parameters are those of the model"


def _write_servos(spec: mujoco.MjSpec, system: System, mechanics: Mechanics) -> Iterator[str]:
    """Writes gain, bias and force range of the actuators whose force is limited; their gear stays."""
    actuators = {actuator.id: actuator for actuator in spec.actuators}
    for servo, numbers in zip(system.facts.servos, mechanics.servos.tolist(), strict=True):
        gain, stiffness, damping, bias, lower, upper = numbers
        actuator, gear = actuators[servo.control], abs(float(system.model.actuator_gear[servo.control, 0]))
        if lower >= upper:
            yield f"the learned force range of actuator {servo.name}, {lower:.3g} to {upper:.3g}, is empty"
            continue
        actuator.gainprm[0], actuator.biastype = gain / gear, mujoco.mjtBias.mjBIAS_AFFINE
        actuator.biasprm[:3] = bias / gear, -stiffness / gear**2, -damping / gear**2
        actuator.forcerange = np.array([lower, upper]) / gear


def _write_contacts(spec: mujoco.MjSpec, simulator: NeuralSimulator, model: mujoco.MjModel) -> Iterator[str]:
    """Friction, as a pair each."""
    shapes = simulator.facts.skeleton.shapes
    condims = {(pair.first, pair.second): pair.condim for pair in simulator.facts.skeleton.pairs}
    geoms = {geom.id: geom for geom in spec.geoms}
    explicit = {frozenset((pair.geomname1, pair.geomname2)): pair for pair in spec.pairs}
    friction = pair_friction(simulator)
    for (first, second), value in friction.items():
        ids = [geom_of(model, shapes[index]) for index in (first, second)]
        for index in ids:
            geoms[index].name = geoms[index].name or f"geom{index}"
        names = [geoms[index].name for index in ids]
        pair = explicit.get(frozenset(names))
        if pair is None:
            pair = spec.add_pair(geomname1=names[0], geomname2=names[1], condim=condims[first, second])
            _mix(pair, model, ids)
        pair.friction = np.array([value, value, *pair.friction[2:]])
    if simulator.predictor.constrained:
        kept = "solref and solimp of contacts and limits are"
        if simulator.facts.skeleton.elliptic:
            kept = "solref and solimp of contacts and limits, and impratio, are"
        yield f"only the friction of contacts is written; {kept} those of the model"


def _mix(pair: mujoco.MjsPair, model: mujoco.MjModel, geoms: list[int]) -> None:
    """Gives an explicit pair what MuJoCo makes of its two geoms ("Contact parameters" in its documentation)."""
    priority = model.geom_priority[geoms]
    weights = model.geom_solmix[geoms] + 1e-15
    weights = (priority == priority.max()) * weights / weights[priority == priority.max()].sum()
    chosen, solref = [geom for geom, weight in zip(geoms, weights, strict=True) if weight], model.geom_solref[geoms]
    standard = (solref[:, 0] > 0).all() or len(chosen) == 1
    pair.solref = weights @ solref if standard else solref.min(0)
    pair.solimp = weights @ model.geom_solimp[geoms]
    pair.friction = model.geom_friction[chosen].max(0)[[0, 0, 1, 2, 2]]
    pair.margin, pair.gap = model.geom_margin[geoms].sum(), model.geom_gap[geoms].sum()


def _kept(model: mujoco.MjModel) -> Iterator[str]:
    fixed = fixed_tendons(model)
    for name, values in (
        ("springs and damping of tendons", np.delete([model.tendon_stiffness, model.tendon_damping], fixed, axis=1)),
        ("gravity compensation", model.body_gravcomp),
        ("density and viscosity of the fluid", np.array([model.opt.density, model.opt.viscosity])),
        ("equality constraints", np.ones(model.neq)),
    ):
        if np.any(values):
            yield name
