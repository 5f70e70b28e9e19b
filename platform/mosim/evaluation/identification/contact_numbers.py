"""What a simulator has learned of its contacts and limits, in MuJoCo's words."""

import mujoco

from mosim.evaluation.identification.identified_numbers import Number
from mosim.geometry import Shape
from mosim.models import ArticulatedPredictor, Impedances, NeuralSimulator


def contact_numbers(simulator: NeuralSimulator, model: mujoco.MjModel | None) -> tuple[Number, ...]:
    """Numbers of the simulator's constraints; none where it has no constraints of its own.

    Args:
      simulator: with an articulated predictor.
      model: to compare with; None for no comparison.
    """
    friction = pair_friction(simulator)
    shapes = simulator.facts.skeleton.shapes
    return tuple(
        Number(
            of=f"contact {shapes[first].frame.name}, {shapes[second].frame.name}",
            name="friction",
            unit="",
            value=value,
            half_width=None,
            scale=1.0,
            determined=True,
            reference=None if model is None else _friction(model, shapes[first], shapes[second]),
        )
        for (first, second), value in friction.items()
    )


def pair_friction(simulator: NeuralSimulator) -> dict[tuple[int, int], float]:
    """Learned friction by pair of shapes, as indices into the skeleton's; of pairs that touch in the data alone.

    Where two shapes can touch in several places, it is the mean, weighted by how often each does.
    """
    predictor = simulator.predictor
    if not isinstance(predictor, ArticulatedPredictor) or not predictor.constraints:
        return {}
    contacts = predictor.constraints.contacts
    if contacts is None:
        return {}
    sums: dict[tuple[int, int], list[float]] = {}
    shares = simulator.statistics.contact_share.tolist()
    values = (contacts.friction * Impedances.of(contacts.compliance.learned()).friction.detach().cpu()).tolist()
    for pair, share, value in zip(contacts.pairs, shares, values, strict=True):
        if pair.condim > 1 and share > 0:
            total = sums.setdefault((pair.first, pair.second), [0.0, 0.0])
            total[0] += share * value
            total[1] += share
    return {pair: weighted / share for pair, (weighted, share) in sums.items()}


def geom_of(model: mujoco.MjModel, shape: Shape) -> int:
    """The geom that a shape of the skeleton was read from; -1 where the model has none of its name."""
    name = shape.frame.name
    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name)
    return int(name.removeprefix("geom")) if index < 0 and name.removeprefix("geom").isdecimal() else index


def _friction(model: mujoco.MjModel, first: Shape, second: Shape) -> float | None:
    """MuJoCo's own: of an explicit pair, else of the geom of higher priority, else the larger."""
    geoms = (geom_of(model, first), geom_of(model, second))
    if min(geoms) < 0:
        return None
    for pair in range(model.npair):
        if {int(model.pair_geom1[pair]), int(model.pair_geom2[pair])} == set(geoms):
            return float(model.pair_friction[pair, 0])
    priorities = [int(model.geom_priority[geom]) for geom in geoms]
    friction = [float(model.geom_friction[geom, 0]) for geom in geoms]
    return max(friction) if priorities[0] == priorities[1] else friction[priorities.index(max(priorities))]
