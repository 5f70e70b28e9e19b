"""Fixed tendons and couplings: sums of joints' positions, read from a MuJoCo model."""

from collections.abc import Iterator, Sequence

import mujoco
import numpy as np

from mosim.core.frozen import Frozen

_NO_EQUALITIES = int(mujoco.mjtDisableBit.mjDSBL_EQUALITY | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
"""Options of MuJoCo under which no equality holds."""


class FixedTendon(Frozen):
    """A tendon whose length is a weighted sum of the positions of two or more slides and hinges.

    Attributes:
      name: MuJoCo's.
      links: of these joints, as indices into the skeleton's links.
      coefficients: metres of length a metre or radian of each.
    """

    name: str
    links: tuple[int, ...]
    coefficients: tuple[float, ...]


class Coupling(Frozen):
    """A weighted sum of the positions of slides and hinges that an equality constraint keeps.

    Attributes:
      name: of the equality.
      links: of these joints, as indices into the skeleton's links.
      coefficients: weight of each.
      value: of the sum.
    """

    name: str
    links: tuple[int, ...]
    coefficients: tuple[float, ...]
    value: float


def fixed_tendons(model: mujoco.MjModel) -> list[int]:
    """MuJoCo's numbers of the fixed tendons of several joints; what one of a single joint does, the joint does."""
    return [tendon for tendon, _ in _fixed(model)]


def read_tendons(model: mujoco.MjModel) -> tuple[FixedTendon, ...]:
    """The fixed tendons of a model; each of its joints makes one link, in the order of the joints."""
    return tuple(
        FixedTendon(name=model.tendon(tendon).name or f"tendon{tendon}", links=links, coefficients=coefficients)
        for tendon, weights in _fixed(model)
        for links, coefficients in (_terms(weights),)
    )


def tendon_weights(model: mujoco.MjModel, tendon: int) -> np.ndarray | None:
    """A fixed tendon's coefficients by joint, `(njnt,)`; None of a tendon along a path in space."""
    wraps = slice(int(model.tendon_adr[tendon]), int(model.tendon_adr[tendon] + model.tendon_num[tendon]))
    if any(model.wrap_type[wraps] != int(mujoco.mjtWrap.mjWRAP_JOINT)):
        return None
    weights = np.zeros(model.njnt)
    np.add.at(weights, model.wrap_objid[wraps], model.wrap_prm[wraps])
    return weights


def read_couplings(model: mujoco.MjModel) -> tuple[Coupling, ...]:
    """The equalities of joints and of fixed tendons that are linear, and hold at first."""
    if model.opt.disableflags & _NO_EQUALITIES:
        return ()
    return tuple(_couplings(model))


def sum_matrix(sums: Sequence[FixedTendon | Coupling], addresses: Sequence[int], size: int) -> np.ndarray:
    """Coefficients of each sum, a row each, `(sums, size)`.

    Args:
      sums: of links' positions.
      addresses: the column of each link.
      size: how many columns there are.
    """
    matrix = np.zeros((len(sums), size))
    for row, each in enumerate(sums):
        matrix[row, [addresses[link] for link in each.links]] = each.coefficients
    return matrix


def _couplings(model: mujoco.MjModel) -> Iterator[Coupling]:
    kinds = mujoco.mjtEq
    of_one = {int(kinds.mjEQ_JOINT): _joint, int(kinds.mjEQ_TENDON): tendon_weights}
    reference = model.qpos0[model.jnt_qposadr]
    for index in np.flatnonzero(model.eq_active0).tolist():
        read = of_one.get(int(model.eq_type[index]))
        offset, slope, *curved = model.eq_data[index, :5].tolist()
        first, second = int(model.eq_obj1id[index]), int(model.eq_obj2id[index])
        if read is None or (second >= 0 and any(curved)):
            continue
        weights, others = read(model, first), np.zeros(model.njnt) if second < 0 else read(model, second)
        if weights is None or others is None:
            continue
        # MuJoCo's equality, and lengths, are measured from the reference pose.
        weights = weights - slope * others
        if not weights.any():
            continue  # It keeps nothing.
        links, coefficients = _terms(weights)
        value = offset + float(weights @ reference)
        name = model.equality(index).name or f"equality{index}"
        yield Coupling(name=name, links=links, coefficients=coefficients, value=value)


def _joint(model: mujoco.MjModel, joint: int) -> np.ndarray:
    return np.eye(model.njnt)[joint]


def _fixed(model: mujoco.MjModel) -> Iterator[tuple[int, np.ndarray]]:
    for tendon in range(model.ntendon):
        weights = tendon_weights(model, tendon)
        if weights is not None and np.count_nonzero(weights) > 1:
            yield tendon, weights


def _terms(weights: np.ndarray) -> tuple[tuple[int, ...], tuple[float, ...]]:
    links = np.flatnonzero(weights)
    return tuple(links.tolist()), tuple(weights[links].tolist())
