"""A first guess of how mass is spread over links, from the shapes on them alone."""

from collections.abc import Sequence

import numpy as np

from mosim.geometry import Shape, Skeleton, rotation_of

_DENSITY = 1000.0
"""Of what shapes are filled with, in kilograms a cubic metre: water's, and MuJoCo's own default."""

_BALL = 0.05
"""Metres: the radius of the ball that stands for a link without shapes."""

_ROUNDING = 0.02
"""Share of a shape's second moments that is spread over all directions, since a robot's parts are no thin rods."""


def guessed_pseudo_inertias(skeleton: Skeleton, carriers: Sequence[int]) -> np.ndarray:
    """Pseudo-inertias, `(carriers, 4, 4)`, in each link's own frame, of links of the skeleton.

    Shapes that nothing can touch are not in a skeleton: a link that has none is a ball at its bodies, as heavy as the
    robot's other links in the geometric mean.
    """
    of_shapes = {link: np.zeros((4, 4)) for link in carriers}
    for shape in skeleton.shapes:
        if shape.kind != "plane" and shape.frame.link in of_shapes:
            of_shapes[shape.frame.link] += pseudo_inertia_of(shape, _ROUNDING)
    known = [matrix[3, 3] for matrix in of_shapes.values() if matrix[3, 3] > 0]
    mass = float(np.exp(np.mean(np.log(known)))) if known else _DENSITY * 4 / 3 * np.pi * _BALL**3
    for link, matrix in of_shapes.items():
        if matrix[3, 3] == 0:
            places = [np.array(body.position) for body in skeleton.bodies if body.link == link]
            for place in places:
                matrix += _placed(np.eye(3), place, mass / len(places), np.full(3, _BALL**2 / 5))
    return np.stack([of_shapes[link] for link in carriers])


def pseudo_inertia_of(shape: Shape, rounding: float = 0.0) -> np.ndarray:
    """Of a shape that is not a plane, filled with water, `(4, 4)`, in its link's frame.

    `rounding` is the share of its second moments that is spread over all directions.
    """
    first, second, third = shape.size
    if shape.kind == "mesh":  # As the box that its size is half of, which has the mesh's moments.
        return pseudo_inertia_of(shape.model_copy(update={"kind": "box"}), rounding)
    if shape.kind == "box":
        volume, moments = 8 * first * second * third, np.square(shape.size) / 3
    elif shape.kind == "ellipsoid":
        volume, moments = 4 / 3 * np.pi * first * second * third, np.square(shape.size) / 5
    elif shape.kind == "cylinder":
        volume, moments = 2 * np.pi * first**2 * second, np.array([first**2 / 4, first**2 / 4, second**2 / 3])
    else:
        length = second if shape.kind == "capsule" else 0.0
        ball, cylinder = 4 / 3 * np.pi * first**3, 2 * np.pi * first**2 * length
        volume = ball + cylinder
        across = (ball * first**2 / 5 + cylinder * first**2 / 4) / volume
        ends = first**2 / 5 + length**2 + 0.75 * length * first  # Half a ball's middle is 3/8 of its radius away.
        along = (ball * ends + cylinder * length**2 / 3) / volume
        moments = np.array([across, across, along])
    moments = (1 - rounding) * moments + rounding * moments.sum() / 3
    return _placed(rotation_of(shape.frame.quaternion), np.array(shape.frame.position), _DENSITY * volume, moments)


def _placed(rotation: np.ndarray, middle: np.ndarray, mass: float, moments: np.ndarray) -> np.ndarray:
    """A pseudo-inertia in the frame of `middle`; `moments`, of a unit of mass, are about that and along own axes."""
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = rotation, middle
    return mass * frame @ np.diag([*moments, 1.0]) @ frame.T
