"""The records of an identification: numbers, combinations of them, and what nothing tells."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

CERTAIN = 0.1
"""Half of a 95% interval, over the number or its joint's scale, up to which the number counts as determined."""

NEGLIGIBLE = 1e-6
"""Share of a number's scale below which it is as good as zero."""

_NOTHING = 1e-4
"""Share of a number's scale below which it is not worth a line where the MJCF has none."""


@dataclass(frozen=True)
class Number:
    """A learned number in MuJoCo's words.

    Attributes:
      of: whose, such as `body torso`, `joint hip`, `tendon grasp` or `actuator hip`.
      name: such as `mass`, `ipos[0]` or `damping`.
      unit: SI.
      value: as learned.
      half_width: half of its 95% interval; None where no data were looked at.
      scale: how large such a number of this body or joint is likely to be.
      determined: whether the data tell it, or, without data, whether motion can.
      known: whether it was taken as known beforehand.
      reference: the MJCF's; None without one.
      spread: standard deviation over checkpoints; None for one alone.
      terms: of a combination, the numbers in it with their weights.
    """

    of: str
    name: str
    unit: str
    value: float
    half_width: float | None
    scale: float
    determined: bool
    known: bool = False
    reference: float | None = None
    spread: float | None = None
    terms: tuple[tuple[float, str], ...] = ()

    @property
    def difference(self) -> float | None:
        """Over the MJCF's number; None where it has none, next to none, or where the interval is too wide to say."""
        if self.reference is None or not self.determined or abs(self.reference) <= NEGLIGIBLE * self.scale:
            return None
        if self.half_width is not None and self.half_width > CERTAIN * max(abs(self.reference), abs(self.value)):
            return None
        return (self.value - self.reference) / abs(self.reference)

    @property
    def nothing(self) -> bool:
        """Whether it is determined to be next to nothing, and the MJCF, where there is one, has none."""
        none = self.reference is None or abs(self.reference) <= NEGLIGIBLE * self.scale
        return self.determined and none and abs(self.value) <= _NOTHING * self.scale


@dataclass(frozen=True)
class Change:
    """Numbers that can change together, and no motion, or nothing in the data, would show it.

    Attributes:
      terms: by how much each changes for one unit of the first: amount, name and unit; the largest shares first.
      shares: of each term in the change, over the numbers' scales.
      by: whether no motion tells them apart, or the data do not.
      remedy: joints and actuators whose motion alone would tell, the best first; empty where it takes several at once.
    """

    terms: tuple[tuple[float, str, str], ...]
    shares: tuple[float, ...]
    by: Literal["motion", "data"]
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What sets the scale of one tree's forces, which motion does not tell.

    Attributes:
      what: the number, in words.
      value: in SI units.
      factor: by which the tree's learned forces are multiplied.
    """

    what: str
    value: float
    factor: float


@dataclass(frozen=True)
class Identified:
    """What an articulated simulator has learned, and how certain it is.

    Attributes:
      system: name of the robot.
      against: what the MJCF's numbers were read from; None without.
      known: one a tree, in the order of the trees.
      numbers: in the order bodies, joints, tendons, actuators, contacts.
      combinations: that motion tells, where it tells no number alone.
      changes: that motion, or the data, do not tell.
      unseen: degrees of freedom that contacts or limits push in all of the data.
      transitions: of how many the rows without contacts and limits were looked at; None without data.
    """

    system: str
    against: str | None
    known: tuple[Known, ...]
    numbers: tuple[Number, ...]
    combinations: tuple[Number, ...]
    changes: tuple[Change, ...]
    unseen: tuple[str, ...] = ()
    transitions: int | None = None


def over_seeds(each: list[Identified]) -> Identified:
    """Several checkpoints of one system as one: means, the widest intervals, and the spread of each number.

    What one of them does not determine is not determined; changes are those of the first.
    """
    first = each[0]
    if len(each) == 1:
        return first
    return Identified(
        **{
            **vars(first),
            "numbers": _together([one.numbers for one in each]),
            "combinations": _together([one.combinations for one in each]),
        }
    )


def _together(each: list[tuple[Number, ...]]) -> tuple[Number, ...]:
    others = [{(number.of, number.name): number for number in numbers} for numbers in each]
    shared = [key for key in others[0] if all(key in numbers for numbers in others)]
    return tuple(_mean([numbers[key] for numbers in others]) for key in shared)


def _mean(same: list[Number]) -> Number:
    values, widths = [number.value for number in same], [number.half_width for number in same]
    return Number(
        **{
            **vars(same[0]),
            "value": float(np.mean(values)),
            "half_width": None if None in widths else max(width for width in widths if width is not None),
            "determined": all(number.determined for number in same),
            "spread": float(np.std(values, ddof=1)),
        }
    )
