"""A simulator's masses, joints and motors in MuJoCo's words, with intervals, and what of them nothing tells."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.core.threads import single_threaded
from mosim.evaluation.identification.contact_numbers import contact_numbers
from mosim.evaluation.identification.force_scale import gear_name, gear_row, known_numbers
from mosim.evaluation.identification.identified_numbers import CERTAIN, NEGLIGIBLE, Change, Identified, Number
from mosim.evaluation.identification.mjcf_mechanics import MjcfMechanics
from mosim.models import (
    DRAG,
    INERTIAL,
    SERVO_NUMBERS,
    ArticulatedPredictor,
    BaseParameters,
    Certainty,
    Excitation,
    MechanicalParameters,
    Mechanics,
    NeuralSimulator,
    base_parameters,
    centre_and_inertia,
    certainty_of,
    full_inertia,
)

Transitions = tuple[np.ndarray, np.ndarray, np.ndarray]
"""States, `(n, nq + nv)`, actions, `(n, nu)`, and states a physics step later."""

_STRUCTURE = 1e-4
"""Noise that rows of random motion are given where no data are looked at: as good as none."""

_UNCERTAIN = 0.5
"""Half of a 95% interval, over the scale, beyond which the data are said not to tell a combination."""

_SHARE = 0.2
"""Of the largest share of a change, or of information, below which others are not named."""

_NO_INFORMATION = 1e-12
"""Mean square of what a joint's motion adds, below which it adds nothing."""

_CENTRE = ("ipos[0]", "ipos[1]", "ipos[2]")
_FULL = tuple(f"fullinertia[{index}]" for index in range(6))
_DIAGONAL = tuple(f"diaginertia[{index}]" for index in range(3))

_OWN = (
    "gear",
    "damping",
    "stiffness",
    "constant",
    "frictionloss",
    "tendon stiffness",
    "tendon damping",
    "drag",
    "servo",
)


class Identification(NamedTuple):
    """What was found, and the numbers themselves with the scale of each tree's forces set.

    Attributes:
      found: in words and numbers.
      mechanics: to write.
    """

    found: Identified
    mechanics: Mechanics


def articulated(simulator: NeuralSimulator, what: str) -> ArticulatedPredictor:
    """The simulator's predictor.

    Raises:
      MosimError: it is another kind, or its actuators have internal states; says so of `what`.
    """
    if simulator.facts.activations:
        raise MosimError(
            f"{what} has actuators with internal states, whose parameters mosim cannot express as MJCF attributes."
        )
    predictor = simulator.predictor
    if isinstance(predictor, ArticulatedPredictor):
        return predictor
    raise MosimError(
        f"{what} is of the kind {simulator.config.structure}, which has no masses; give a checkpoint that was trained "
        "by a recipe with predictor: articulated."
    )


@single_threaded
@torch.no_grad()
def identification(
    simulator: NeuralSimulator,
    against: MjcfMechanics | None = None,
    model: mujoco.MjModel | None = None,
    transitions: Transitions | None = None,
) -> Identification:
    """Tells what a simulator with an articulated predictor has learned.

    All forces of a tree of links could be larger by one factor, and no motion would show it. Given an MJCF, one of its
    numbers sets the scale of each tree: the largest gear, or, without motors, the inertia about its first joint.

    Args:
      simulator: on the CPU.
      against: MuJoCo's numbers to compare with, of the same drawing.
      model: what they were read from, for its contacts.
      transitions: that say how certain the numbers are; None for what motion could tell at best.

    Raises:
      MosimError: the predictor is not an articulated one.
    """
    numbers = _Numbers(simulator, articulated(simulator, "the simulator"), against, transitions)
    found = Identified(
        system=simulator.facts.name,
        against=None if against is None else against.source,
        known=tuple(known for known, _ in numbers.known),
        numbers=(
            *numbers.of_bodies(),
            *numbers.of_joints(),
            *numbers.of_tendons(),
            *numbers.of_fluid(),
            *numbers.of_gears(),
            *numbers.of_servos(),
            *contact_numbers(simulator, model),
        ),
        combinations=tuple(numbers.combinations()),
        changes=tuple(numbers.changes()),
        unseen=tuple(numbers.unseen()),
        transitions=numbers.transitions,
    )
    return Identification(found, numbers.parameters.mechanics(numbers.values))


class _Numbers:
    """The parameters of one checkpoint, the scale of each tree's forces set, and how certain they are."""

    def __init__(
        self,
        simulator: NeuralSimulator,
        predictor: ArticulatedPredictor,
        against: MjcfMechanics | None,
        transitions: Transitions | None,
    ) -> None:
        self.parameters = parameters = MechanicalParameters(simulator.facts, predictor)
        self._against, self._data = against, transitions is not None
        self._true = None if against is None else parameters.of(against.mechanics)
        values = parameters.of(predictor.mechanics())
        drives = () if against is None else against.drives
        self.known = tuple(known_numbers(parameters, values, self._true, drives))
        factors = torch.tensor([known.factor for known, _ in self.known], dtype=values.dtype)
        trees = torch.tensor([each.tree for each in parameters.each])
        self.values, self._scale = values * factors[trees], parameters.scale * factors[trees]
        held = torch.stack([row for _, row in self.known])
        self._excitation = Excitation(simulator, parameters)
        everywhere = self._excitation.everywhere()
        self._base: BaseParameters = base_parameters(torch.cat([everywhere, held]), _order(parameters))
        self._told = torch.linalg.qr(self._base.combinations().mT)[0].mT
        if transitions is None:
            nothing = everywhere.new_zeros(len(everywhere))
            self._certainty = Certainty(everywhere / _STRUCTURE, nothing, held)
        else:
            rows = (torch.from_numpy(np.asarray(part, np.float64)) for part in transitions)
            self._certainty = certainty_of(simulator, parameters, held, self._told, *rows)

    def of_bodies(self) -> Iterator[Number]:
        """Mass, centre and inertia of each link that carries bodies."""
        for link, body in enumerate(self.parameters.bodies):
            places = slice(INERTIAL * link, INERTIAL * (link + 1))
            true = None if self._true is None else self._true[places]
            mass, radius = float(self.values[places][0]), self._radius(link)
            inertia = mass * radius**2
            sizes = [mass, *[radius] * 3, *[inertia] * 9]
            units = ["kg", *["m"] * 3, *["kg m2"] * 9]
            each = list(
                self._numbers(
                    f"body {body}", ("mass", *_CENTRE, *_FULL, *_DIAGONAL), units, sizes, places, _of_body, true
                )
            )
            # Principal moments say all that the entries of a matrix say, where they are all told.
            whole = all(number.determined for number in each[4:10])
            yield from each[:4] + (each[10:] if whole else each[4:10])

    def of_joints(self) -> Iterator[Number]:
        """Armature, damping, spring and constant force of each degree of freedom."""
        parameters = self.parameters
        for dof, name in enumerate(parameters.dofs):
            of = f"joint {name}"
            yield self._one(of, "armature", parameters.place("armature", dof))
            yield self._one(of, "damping", parameters.place("damping", dof))
            if dof in parameters.rubbed:
                yield self._one(of, "frictionloss", parameters.place("frictionloss", dof))
            constant = parameters.place("constant", dof)
            if dof not in parameters.sprung:
                yield self._one(of, "constant", constant)
                continue
            spring = parameters.place("stiffness", dof)
            number = self._one(of, "stiffness", spring)
            yield number
            if number.value <= max(number.half_width or 0.0, NEGLIGIBLE * number.scale):
                yield self._one(of, "constant", constant)
                continue
            places = torch.tensor([spring, constant])
            true = None if self._true is None or not self._true[spring] else self._true[places]
            unit = "m" if parameters.each[spring].unit == "N/m" else "rad"
            reach = [float(self._scale[constant] / number.value)]
            yield from self._numbers(of, ("springref",), [unit], reach, places, _springref, true)

    def of_tendons(self) -> Iterator[Number]:
        """Stiffness and damping of each fixed tendon."""
        for tendon, name in enumerate(self.parameters.tendons):
            yield self._one(f"tendon {name}", "stiffness", self.parameters.of_tendon("tendon stiffness", tendon))
            yield self._one(f"tendon {name}", "damping", self.parameters.of_tendon("tendon damping", tendon))

    def of_fluid(self) -> Iterator[Number]:
        """What a fluid does to each body, and where."""
        for (place, number), at in zip(self.parameters.dragged, self.parameters.of_fluid, strict=True):
            yield self._one(f"fluid on {place}", DRAG[number][0], at)

    def of_gears(self) -> Iterator[Number]:
        """Gear of each actuator that acts on joints; of others, and without an MJCF, force by degree of freedom."""
        parameters = self.parameters
        first = len(parameters) - len(parameters.geared)
        drives = () if self._against is None else self._against.drives
        for drive in drives:
            row = gear_row(parameters, drive)
            places = row.nonzero().squeeze(-1)
            true = None if self._true is None else self._true[places]

            def gear(values: Tensor, weights: Tensor = row[places]) -> Tensor:
                return (weights @ values).unsqueeze(0)

            size = float((row.abs() * self._scale).max())
            known = any(known.what == gear_name(drive) for known, _ in self.known)
            name = f"gear[{drive.component}]"
            of = f"actuator {drive.label}"
            yield from self._numbers(of, (name,), [""], [size], places, gear, true, known)
        driven = {drive.actuator for drive in drives}
        for place, (dof, control) in enumerate(parameters.geared, start=first):
            if control not in driven:
                number = self._one(f"ctrl[{control}]", f"force on {parameters.dofs[dof]}", place)
                if abs(number.value) > 1e-3 * self._scale[place] or not number.determined:
                    yield number

    def of_servos(self) -> Iterator[Number]:
        """Gain, bias and limits of each actuator whose force is limited."""
        parameters = self.parameters
        for (servo, number), at in zip(parameters.serving, parameters.of_servos, strict=True):
            yield self._one(f"actuator {parameters.servos[servo]}", SERVO_NUMBERS[number], at)

    def combinations(self) -> Iterator[Number]:
        """What motion tells of masses and armature together, and of moments that no MJCF has as a number of its own."""
        base, scale = self._base, self._scale
        rows = base.combinations()
        widths = self._certainty.half_widths(rows)
        for place, row, width in sorted(zip(base.told, rows, widths, strict=True), key=lambda each: each[0]):
            others = row.nonzero().squeeze(-1).tolist()
            if len(others) == 1 and self.parameters.each[place].kind != "inertia":
                continue  # It is a number of its own.
            weights = scale[place] * row / scale
            others.sort(key=lambda other: (other != place, -float(row[other].abs())))
            terms = tuple((float(weights[other]), self.parameters.each[other].name) for other in others)
            value, half_width = float(weights @ self.values), float(scale[place] * width)
            size = float(scale[place])
            yield Number(
                of="combination",
                name=self.parameters.each[place].name,
                unit=self.parameters.each[place].unit,
                value=value,
                half_width=half_width if self._data else None,
                scale=size,
                determined=half_width <= CERTAIN * max(abs(value), size),
                reference=None if self._true is None else float(weights @ self._true),
                terms=terms,
            )

    def changes(self) -> Iterator[Change]:
        """What no motion tells, then what the data do not, with the motion that would."""
        for place, row in sorted(zip(self._base.untold, self._base.changes(), strict=True), key=lambda each: each[0]):
            yield self._change(row, place, "motion")
        if not self._data:
            return
        directions, _ = self._certainty.least_known(self._told, _UNCERTAIN)
        if not len(directions):
            return
        directions = _reduced(directions)
        names, added = zip(
            *((name, (rows @ directions.mT).square().mean(0)) for name, rows in self._excitation.alone()), strict=True
        )
        information = torch.stack(added)
        for row, each in zip(directions, information.mT, strict=True):
            best = each.argsort(descending=True)
            told = [index for index in best.tolist() if each[index] > max(_SHARE * float(each.max()), _NO_INFORMATION)]
            yield self._change(row, int(row.abs().argmax()), "data", tuple(names[index] for index in told))

    @property
    def transitions(self) -> int | None:
        """How many tell of the degree of freedom of which most do."""
        return max(self._certainty.rows) if self._data else None

    def unseen(self) -> Iterator[str]:
        """Degrees of freedom of which the data have no free row."""
        for dof, count in enumerate(self._certainty.rows):
            if not count:
                yield self.parameters.dofs[dof]

    def _change(self, row: Tensor, first: int, by, remedy: tuple[str, ...] = ()) -> Change:
        places = [place for place in row.abs().argsort(descending=True).tolist() if row[place] != 0]
        if by == "data":
            places = [place for place in places if abs(row[place]) >= _SHARE * abs(row[first])]
        places.sort(key=lambda place: place != first)
        amounts = row * self._scale / (row[first] * self._scale[first])
        each = self.parameters.each
        return Change(
            terms=tuple((float(amounts[place]), each[place].name, each[place].unit) for place in places),
            shares=tuple(float(row[place]) for place in places),
            by=by,
            remedy=remedy,
        )

    def _one(self, of: str, name: str, place: int) -> Number:
        [number] = self._numbers(
            of,
            (name,),
            [self.parameters.each[place].unit],
            [float(self._scale[place])],
            torch.tensor([place]),
            lambda values: values,
            None if self._true is None else self._true[place : place + 1],
        )
        return number

    def _numbers(
        self,
        of: str,
        names: tuple[str, ...],
        units: list[str],
        sizes: list[float],
        places: Tensor | slice,
        function: Callable[[Tensor], Tensor],
        true: Tensor | None,
        known: bool = False,
    ) -> Iterator[Number]:
        """Numbers that a function makes of some of the parameters."""
        values = self.values[places]
        with torch.enable_grad():
            slopes = torch.autograd.functional.jacobian(function, values)
        rows = values.new_zeros(len(names), len(self.values))
        rows[:, places] = slopes
        widths = self._certainty.half_widths(rows * self._scale)
        found, wanted = function(values).tolist(), [None] * len(names) if true is None else function(true).tolist()
        for name, unit, size, value, width, reference in zip(
            names, units, sizes, found, widths.tolist(), wanted, strict=True
        ):
            yield Number(
                of=of,
                name=name,
                unit=unit,
                value=value,
                half_width=width if self._data else None,
                scale=size,
                determined=width <= CERTAIN * max(abs(value), size),
                known=known,
                reference=reference,
            )

    def _radius(self, link: int) -> float:
        """Metres: how far a link's mass reaches, as its shapes say."""
        first = INERTIAL * link
        return float(self.parameters.scale[first + 1] / self.parameters.scale[first])


def _reduced(directions: Tensor) -> Tensor:
    """Other rows of the same span, by Gauss and Jordan's elimination: each has a parameter that no other has."""
    rows = directions.clone()
    for index in range(len(rows)):
        rest = rows[index:].abs()
        row, column = divmod(int(rest.argmax()), rows.shape[1])
        rows[[index, index + row]] = rows[[index + row, index]]
        rows[index] /= rows[index, column].clone()
        others = torch.arange(len(rows)) != index
        rows[others] -= rows[others, column].unsqueeze(-1) * rows[index]
    return rows / rows.norm(dim=-1, keepdim=True)


def _order(parameters: MechanicalParameters) -> list[int]:
    """Of numbers that are told together, which are said to be told, the first ones first.

    Motors and joints come before links, links near the root before those far from it, and armature last. Of a link its
    mass comes last: about a joint that is close to the frame's origin, it hardly turns.
    """

    def rank(place: int) -> tuple[int, int, int]:
        kind = parameters.each[place].kind
        if kind in ("mass", "inertia"):
            return 1, place // INERTIAL, -place
        return 0 if kind in _OWN else 2, 0, place

    return sorted(range(len(parameters)), key=rank)


def _of_body(values: Tensor) -> Tensor:
    mass, centre, inertia = centre_and_inertia(values)
    principal = torch.linalg.eigvalsh(inertia).flip(0)
    return torch.cat([mass.unsqueeze(0), centre, full_inertia(inertia), principal])


def _springref(values: Tensor) -> Tensor:
    return values[1:] / values[:1]
