"""What every picture calls things, and how it draws them: names, units, colours, dashes.

The colours are Okabe and Ito's, which stay apart for colour-blind eyes; where they run out, dashes tell lines apart.
"""

from collections.abc import Iterable
from typing import NamedTuple

BLUE, ORANGE, GREEN, PINK, SKY, BLACK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000"
VERMILLION, GREY = "#D55E00", "#999999"

_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, BLACK)
_DASHES = ("solid", "dash", "dot", "dashdot")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star")

SEQUENTIAL = "Cividis"
"""The colour scale of magnitudes, in plotly; matplotlib's is its name in small letters. It needs no sense of hue."""


LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
"""matplotlib's name of each dash."""


class Style(NamedTuple):
    """How a line is drawn.

    Attributes:
      colour: as `#rrggbb`.
      dash: plotly's name of it.
      marker: plotly's name of it.
    """

    colour: str
    dash: str = "solid"
    marker: str = "circle"


SIMULATOR, PERSISTENCE, CHAOS_FLOOR, VALIDATION = "mosim", "persistence", "chaos-floor", "validation"
"""What is measured of a horizon; `validation` is the simulator on episodes that were kept from its training."""

MODELS = {
    SIMULATOR: "neural simulator",
    VALIDATION: "neural simulator, on validation episodes",
    PERSISTENCE: "persistence (predict no change)",
    CHAOS_FLOOR: "chaos floor (MuJoCo, started 1e-6 away)",
}

BASELINES = {PERSISTENCE: Style(GREY, "dash"), CHAOS_FLOOR: Style(VERMILLION, "dot")}

ZERO_SHOT, TRUE_TRAINED = "zero-shot", "true-trained"
"""Policies: trained in a simulator alone, and in the true task."""

STANDARD_HORIZONS = (1, 3, 16, 100, 1000)

LABELS = {
    "step": "gradient steps",
    "horizon": "physics steps predicted open loop",
    "mse": "horizon error (MSE over steps 1..H, raw [q, v])",
    "dimension_mse": "error of the dimension (MSE over steps 1..H, raw)",
    "error": "horizon error at {horizon}, validation episodes",
    "loss": "training loss",
    "samples": "physics steps of training data used",
    "seconds": "training time (s)",
    "speed": "physics steps predicted per second",
    "return": "episode return",
    "control_steps": "control steps of training",
    "importance": "fraction of the variance explained",
}
"""Axis labels, by the columns of frames; the unit stands in brackets where there is one."""

NOT_SETTINGS = frozenset({"checkpoint", "storage", "device", "workers", "variant"})
"""Parameters that say where or on what a run was done or what it is called, and not what was done."""


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """A style for each label, in order: other colours first, and other dashes and markers where those run out."""
    styled = {}
    for number, label in enumerate(dict.fromkeys(labels)):
        turn, place = divmod(number, len(_COLOURS))
        index = turn % len(_DASHES)
        styled[label] = Style(_COLOURS[place], _DASHES[index], _MARKERS[(place + turn) % len(_MARKERS)])
    return styled


def in_order(groups: Iterable[str], styled: dict[str, Style]) -> list[str]:
    """Groups, once each, in the order of their styles, so that every legend has the same."""
    present = set(map(str, groups))
    return [label for label in styled if label in present]


def with_knowledge(label: str, knowledge: str) -> str:
    """A simulator's name with how much it is told of its robot: `mosim (tree)`; the name alone where that is no more.

    Args:
      label: the name.
      knowledge: `arrays`, `geometry`, `tree`, or empty of what is no simulator.
    """
    return f"{label} ({knowledge})" if knowledge and knowledge not in label else label


def figure_of(value: float) -> str:
    """A number as texts show it: `4.2e-06`, `0.31`, `diverged`."""
    if value != value:
        return "missing"
    if value in (float("inf"), float("-inf")):
        return "diverged"
    if 100 <= abs(value) < 1e5:
        return f"{value:.0f}"
    return f"{value:.2g}" if value == 0 or 0.001 <= abs(value) < 100 else f"{value:.1e}"


def steps_of(horizon: int) -> str:
    """A horizon in words: `16 steps`."""
    return "1 step" if horizon == 1 else f"{horizon} steps"
