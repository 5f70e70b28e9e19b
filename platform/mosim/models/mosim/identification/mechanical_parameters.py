"""What an articulated predictor learns as one vector of physical numbers, in which the balance of forces is linear."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mosim.models.mosim.identification.force_balance import (
    ARMATURE,
    CONSTANT,
    DAMPING,
    FRICTION,
    GEAR,
    STIFFNESS,
    Equations,
    ForceBalance,
)
from mosim.models.mosim.tree import servos as of_servos
from mosim.models.mosim.tree.articulated import ArticulatedPredictor, Mechanics
from mosim.models.mosim.tree.drag_places import NUMBERS
from mosim.robots import SystemFacts

Kind = Literal[
    "mass", "inertia", "tendon stiffness", "tendon damping", "drag", "servo", "armature", "damping", "stiffness",
    "constant", "frictionloss", "gear",
]  # fmt: skip

INERTIAL = 10
"""Numbers of a link: its mass, three first moments and six entries of its inertia matrix."""

_FIRST_MOMENTS = ("mass*x", "mass*y", "mass*z")
_INERTIAS = ("Ixx", "Iyy", "Izz", "Ixy", "Ixz", "Iyz")
_PLACES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))

DRAG = (
    *((f"turning drag {axis}", "N m s2") for axis in "xyz"),
    *((f"drag {axis}", "N s2/m2") for axis in "xyz"),
    ("turning viscosity", "N m s"),
    ("viscosity", "N s/m"),
)
"""Names and units of what a fluid does at one place, along its own axes."""

_SMALLEST = 1e-6
"""Metres: of a link without size, by which its moments are measured."""


class Parameter(NamedTuple):
    """One number of a `MechanicalParameters`.

    Attributes:
      name: such as `mass of pole_1` or `damping of hinge_1`.
      kind: what it is a number of; `inertia` stands for moments of a link's mass.
      unit: SI.
      tree: of which tree of links it is.
    """

    name: str
    kind: Kind
    unit: str
    tree: int


class MechanicalParameters:
    """The linear parameters: ten of each link, then those of tendons, a fluid's drag, servos and joints, and gears.

    A link's ten are those of Atkeson, An and Hollerbach (IJRR 1986): mass, first moments and inertia matrix about the
    origin of its frame, which is that of its first body; bodies welded to it count as one with it.

    Attributes:
      each: what the numbers are.
      scale: `(n,)`: how large each is likely to be, as shapes and data suggest.
      bodies: names of the carriers, the welded ones of each in brackets.
      dofs: names of the degrees of freedom.
      sprung, rubbed: the degrees of freedom that can have a spring, and those that have dry friction.
      tendons: names of the fixed tendons.
      pulls: `(tendons, nv)`: generalised forces of a unit of pull.
      dragged: where a fluid drags bodies, and which number of `DRAG` it is, one pair after the other.
      servos: names of the actuators whose force is limited.
      serving: which of these, and which number of `servos.NUMBER_NAMES` it is, one pair after the other.
      geared: degrees of freedom and the controls that act on them, one pair after the other.
      links, size: how many carriers and degrees of freedom there are.
    """

    def __init__(self, facts: SystemFacts, predictor: ArticulatedPredictor) -> None:
        self._balance, self._predictor = ForceBalance(predictor), predictor
        tree, joints, actuation = predictor.tree, predictor.joints, predictor.actuation
        carriers, self._controls = tree.motion.carriers, facts.nu
        none = tree.scale.new_zeros(0)
        acts = [] if actuation is None else actuation.spread_out(actuation.acts).nonzero().tolist()
        self.geared = tuple((dof, control) for dof, control in acts)
        self.links, self.size = len(carriers), facts.nv
        self.bodies = tuple(_body_name(facts, carrier) for carrier in carriers)
        self.sprung = tuple(joints.springs.tolist())
        friction = None if predictor.constraints is None else predictor.constraints.friction
        self.rubbed = () if friction is None else tuple(friction.dofs.tolist())
        self.tendons, self.pulls = tuple(tendon.name for tendon in facts.skeleton.tendons), joints.tendons
        fluid = predictor.fluid
        dragged = () if fluid is None else (divmod(index, NUMBERS) for index in fluid.acting.tolist())
        self.dragged = tuple((fluid.places[place].name, number) for place, number in dragged) if fluid else ()
        self.servos = tuple(servo.name for servo in facts.servos)
        felt = none if predictor.servos is None else predictor.servos.felt
        self.serving = tuple((servo, number) for servo, number in felt.view(-1, of_servos.NUMBERS).nonzero().tolist())
        self._serving = tuple(torch.tensor(self.serving, dtype=torch.long).view(-1, 2).unbind(-1))
        self._positions, self._force_scale = facts.nq, joints.force_scale
        self.dofs = tuple(name.removeprefix("qvel/") for name in facts.layout.names[facts.layout.qvel])
        self.each = tuple(self._names(facts))
        self._geared = tuple(torch.tensor(self.geared, dtype=torch.long).view(-1, 2).unbind(-1))
        gears = none if actuation is None else actuation.scale[self._geared]
        own = (
            joints.tendon_stiffness_scale,
            joints.tendon_damping_scale,
            none if fluid is None else fluid.strength_scale,
            none if predictor.servos is None else predictor.servos.scale[self._serving],
            tree.scale,
            joints.damping_scale,
            joints.stiffness_scale,
            joints.force_scale,
            joints.force_scale[list(self.rubbed)],
            gears,
        )
        self.scale = torch.cat([self._inertial_scale().flatten(), *own])
        # By column, what one of the ten adds to a pseudo-inertia, and to the unknowns of the balance.
        basis = torch.stack([_pseudo_inertia(row) for row in torch.eye(INERTIAL, dtype=tree.guess.dtype)])
        into = torch.linalg.inv(tree.guess)
        in_units = into.unsqueeze(1) @ basis @ into.unsqueeze(1).mT
        self._unknowns = torch.stack([self._balance.join_masses(part) for part in in_units.unbind(1)], dim=-1)

    def __len__(self) -> int:
        return len(self.each)

    def of(self, mechanics: Mechanics) -> Tensor:
        """The vector, `(n,)`, of what is learned, in SI units and double precision."""
        inertial = [_inertial(each) for each in mechanics.pseudo_inertia]
        tendons = (mechanics.tendon_stiffness, mechanics.tendon_damping)
        rubbed = mechanics.dry_friction[list(self.rubbed)]
        joints = (mechanics.armature, mechanics.damping, mechanics.stiffness, mechanics.constant, rubbed)
        others = (*tendons, mechanics.drag, mechanics.servos[self._serving], *joints, mechanics.gear[self._geared])
        return torch.cat([*inertial, *others]).to(self.scale)

    def mechanics(self, values: Tensor) -> Mechanics:
        """The reverse of `of`."""
        tendons = [len(self.tendons)] * 2
        joints = [self.size, self.size, len(self.sprung), self.size, len(self.rubbed)]
        inertial, *of_tendons, drag, serving, armature, damping, stiffness, constant, rubbed, gear = values.split(
            [INERTIAL * self.links, *tendons, len(self.dragged), len(self.serving), *joints, len(self.geared)]
        )
        return Mechanics(
            pseudo_inertia=torch.stack([_pseudo_inertia(row) for row in inertial.unflatten(0, (-1, INERTIAL))]),
            armature=armature,
            damping=damping,
            constant=constant,
            stiffness=stiffness,
            gear=gear.new_zeros(self.size, self._controls).index_put(self._geared, gear),
            tendon_stiffness=of_tendons[0],
            tendon_damping=of_tendons[1],
            drag=drag,
            servos=serving.new_zeros(len(self.servos), of_servos.NUMBERS).index_put(self._serving, serving),
            dry_friction=torch.zeros_like(armature).index_copy(0, torch.tensor(self.rubbed).long(), rubbed),
        )

    def regressor(self, qpos: Tensor, qvel: Tensor, qacc: Tensor, damped: Tensor, control: Tensor) -> Tensor:
        """Rows of the balance of forces, `(batch, nv, n)`, over the parameters' `scale`; arguments as `ForceBalance`'s.

        Their product with the parameters over their scale is what inertia, gravity, damping and springs ask of each
        degree of freedom, less what actuators and constants give, in units of its force.
        """
        return self._rows(self._balance(qpos, qvel, qacc, damped, control))

    def place(self, kind: Kind, dof: int) -> int:
        """Where the armature, damping, stiffness, constant or frictionloss of a degree of freedom stands.

        Raises:
          ValueError: it can have none.
        """
        springs = 2 * self.size + len(self.sprung)
        before = {"armature": 0, "damping": self.size, "stiffness": 2 * self.size, "constant": springs}
        at = before.get(kind, springs + self.size) + 2 * len(self.tendons) + len(self.dragged) + len(self.serving)
        among = {"stiffness": self.sprung, "frictionloss": self.rubbed}.get(kind, range(self.size))
        return INERTIAL * self.links + at + among.index(dof)

    def of_tendon(self, kind: Literal["tendon stiffness", "tendon damping"], tendon: int) -> int:
        """Where the stiffness or damping of a tendon stands."""
        return INERTIAL * self.links + tendon + (len(self.tendons) if kind == "tendon damping" else 0)

    @property
    def of_fluid(self) -> range:
        """Where the numbers of `dragged` stand."""
        first = INERTIAL * self.links + 2 * len(self.tendons)
        return range(first, first + len(self.dragged))

    @property
    def of_servos(self) -> range:
        """Where the numbers of `serving` stand."""
        first = self.of_fluid.stop
        return range(first, first + len(self.serving))

    def tree_of(self, dof: int) -> int:
        """The number of the tree that a degree of freedom is of."""
        return int(self._predictor.tree.motion.trees[dof])

    def inertia_of(self, dof: int) -> Tensor:
        """Coefficients, `(n,)`, of parameters over their scale whose sum is a degree of freedom's inertia, in SI units.

        It is the entry of the inertia matrix's diagonal with all joints at zero.
        """
        push = torch.zeros_like(self._force_scale)
        push[dof] = 1.0
        equations = self._balance.of_inertia(push.new_zeros(1, self._positions), push.unsqueeze(0))
        rows = self._rows(equations)[0, dof]
        return rows * self._force_scale[dof]

    def _rows(self, equations: Equations) -> Tensor:
        masses, others = equations.shared.tensor_split([self._balance.masses], dim=-1)
        inertial = torch.einsum("bjlu,lup->bjlp", masses.unflatten(-1, (self.links, -1)), self._unknowns).flatten(-2)
        at = inertial.shape[-1]
        rows = inertial.new_zeros(*inertial.shape[:-1], len(self))
        rows[..., :at] = inertial * self.scale[:at]
        before, every_servo = others.tensor_split([others.shape[-1] - self._balance.servos], dim=-1)
        others = torch.cat([before, every_servo.unflatten(-1, (-1, of_servos.NUMBERS))[..., *self._serving]], dim=-1)
        rows[..., at : at + others.shape[-1]] = others
        at += others.shape[-1]
        every = torch.arange(self.size)
        for place, dofs in (
            (ARMATURE, every),
            (DAMPING, every),
            (STIFFNESS, torch.tensor(self.sprung, dtype=torch.long)),
            (CONSTANT, every),
            (FRICTION, torch.tensor(self.rubbed, dtype=torch.long)),
        ):
            rows[:, dofs, at + torch.arange(len(dofs))] = equations.own[:, dofs, place]
            at += len(dofs)
        actuation = self._predictor.actuation
        if actuation is not None:
            dofs, place = actuation.acts.nonzero().unbind(-1)
            rows[:, dofs, at + torch.arange(len(dofs))] = equations.own[:, dofs, GEAR + place]
        return rows

    def _names(self, facts: SystemFacts) -> Iterator[Parameter]:
        motion = self._predictor.tree.motion
        for link, welded in enumerate(self.bodies):
            tree, body = int(motion.trees[motion.moves[link].argmax()]), welded.partition(" (with ")[0]
            yield Parameter(f"mass of {body}", "mass", "kg", tree)
            yield from (Parameter(f"{name} of {body}", "inertia", "kg m", tree) for name in _FIRST_MOMENTS)
            yield from (Parameter(f"{name} of {body}", "inertia", "kg m2", tree) for name in _INERTIAS)
        of_tendons: dict[Kind, str] = {"tendon stiffness": "N/m", "tendon damping": "N s/m"}
        for kind, unit in of_tendons.items():
            for tendon, name in zip(facts.skeleton.tendons, self.tendons, strict=True):
                tree = int(motion.trees[facts.skeleton.links[tendon.links[0]].dof_address])
                yield Parameter(f"{kind} of {name}", kind, unit, tree)
        fluid = self._predictor.fluid
        links = [] if fluid is None else fluid.links.tolist()
        for (place, number), link in zip(self.dragged, links, strict=True):
            name, unit = DRAG[number]
            yield Parameter(f"{name} of {place}", "drag", unit, int(motion.trees[motion.moves[link].argmax()]))
        turns = _turning(facts)
        for servo, number in self.serving:
            of, name = facts.servos[servo], of_servos.NUMBER_NAMES[number]
            dof = facts.joints[of.joints[0]].dof_address
            force = "N" if len(of.joints) > 1 or not turns[dof] else "N m"
            length = "rad" if force == "N m" else "m"
            units = {of_servos.STIFFNESS: f"{force}/{length}", of_servos.DAMPING: f"{force} s/{length}"}
            unit = force if number != of_servos.GAIN else f"{force} per unit of control"
            yield Parameter(f"{name} of {of.name}", "servo", units.get(number, unit), int(motion.trees[dof]))
        of_joints: dict[Kind, tuple[str, str]] = {
            "armature": ("kg", "kg m2"),
            "damping": ("N s/m", "N m s/rad"),
            "stiffness": ("N/m", "N m/rad"),
            "constant": ("N", "N m"),
            "frictionloss": ("N", "N m"),
        }
        for kind, unit in of_joints.items():
            for dof in {"stiffness": self.sprung, "frictionloss": self.rubbed}.get(kind, range(self.size)):
                yield Parameter(f"{kind} of {self.dofs[dof]}", kind, unit[turns[dof]], int(motion.trees[dof]))
        for dof, control in self.geared:
            tree, unit = int(motion.trees[dof]), of_joints["constant"][turns[dof]]
            yield Parameter(f"gear of ctrl[{control}] on {self.dofs[dof]}", "gear", unit, tree)

    def _inertial_scale(self) -> Tensor:
        guess = self._predictor.tree.guess @ self._predictor.tree.guess.mT
        mass = guess[:, 3, 3]
        centre = guess[:, :3, 3] / mass.unsqueeze(-1)
        spread = guess.diagonal(dim1=-2, dim2=-1)[:, :3].sum(-1) / mass - centre.square().sum(-1)
        radius = spread.clamp_min(_SMALLEST**2).sqrt()
        return torch.stack([mass, *[mass * radius] * 3, *[mass * radius.square()] * 6], dim=-1)


def centre_and_inertia(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mass, centre of mass, `(3,)`, and inertia matrix about the centre, `(3, 3)`, of a link's ten numbers."""
    pseudo = _pseudo_inertia(values)
    mass, centre = pseudo[3, 3], pseudo[:3, 3] / pseudo[3, 3]
    second = pseudo[:3, :3] - mass * torch.outer(centre, centre)
    return mass, centre, torch.trace(second) * torch.eye(3).to(second) - second


def full_inertia(matrix: Tensor) -> Tensor:
    """Six entries of a symmetric matrix in the order of MJCF's `fullinertia`: xx, yy, zz, xy, xz, yz."""
    return torch.stack([matrix[row, column] for row, column in _PLACES])


def _pseudo_inertia(values: Tensor) -> Tensor:
    """The pseudo-inertia, `(4, 4)`, of a link's ten numbers."""
    mass, moments, inertia = values[0], values[1:4], values[4:]
    matrix = torch.stack([inertia[[0, 3, 4]], inertia[[3, 1, 5]], inertia[[4, 5, 2]]])
    second = 0.5 * torch.trace(matrix) * torch.eye(3).to(matrix) - matrix
    top = torch.cat([second, moments.unsqueeze(-1)], dim=-1)
    return torch.cat([top, torch.cat([moments, mass.unsqueeze(0)]).unsqueeze(0)])


def _inertial(pseudo: Tensor) -> Tensor:
    second = pseudo[:3, :3]
    matrix = torch.trace(second) * torch.eye(3).to(second) - second
    return torch.cat([pseudo[3, 3:], pseudo[:3, 3], full_inertia(matrix)])


def _body_name(facts: SystemFacts, link: int) -> str:
    """The first body of a link, and those welded to it in brackets."""
    bodies = [
        body.name or f"body{index}" for index, body in enumerate(facts.skeleton.bodies, start=1) if body.link == link
    ]
    first, *welded = bodies
    return f"{first} (with {', '.join(welded)})" if welded else first


def _turning(facts: SystemFacts) -> list[bool]:
    """Which degrees of freedom turn, and do not slide."""
    turns: dict[str, list[bool]] = {
        "slide": [False], "hinge": [True], "ball": [True] * 3, "free": [False] * 3 + [True] * 3,
    }  # fmt: skip
    return [turn for joint in facts.joints for turn in turns[joint.kind]]
