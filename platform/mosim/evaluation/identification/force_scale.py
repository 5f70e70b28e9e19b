"""What sets the scale of a robot's forces: those of a tree could all be larger by one factor, which no motion shows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mosim.evaluation.identification.identified_numbers import NEGLIGIBLE, Known
from mosim.evaluation.identification.mjcf_mechanics import Drive
from mosim.models import MechanicalParameters


def known_numbers(
    parameters: MechanicalParameters, values: Tensor, true: Tensor | None, drives: tuple[Drive, ...]
) -> Iterator[tuple[Known, Tensor]]:
    """One number of each tree that is taken as known, with its coefficients, `(n,)`, over the parameters' scale.

    It is the largest gear of the tree; without motors, the inertia that its first joint moves. Where there is nothing
    to compare with, the scale stays as it was learned.

    Args:
      parameters: what is learned.
      values: `(n,)`: as learned.
      true: `(n,)`: the MJCF's; None without one.
      drives: the MJCF's actuators.
    """
    trees = torch.tensor([each.tree for each in parameters.each])
    for tree in trees.unique().tolist():
        first = next(dof for dof in range(parameters.size) if parameters.tree_of(dof) == tree)
        whole = parameters.inertia_of(first) / parameters.scale
        inertia = f"the inertia that {parameters.dofs[first]} moves with all joints at zero"
        known = Known(inertia, float(whole @ values), 1.0), whole * parameters.scale
        for what, row in (*_gears(parameters, true, drives, trees == tree), (inertia, whole)):
            if true is None:
                break
            found, wanted = float(row @ values), float(row @ true)
            if found * wanted > 0 and abs(found) > NEGLIGIBLE * float((row.abs() * parameters.scale).max()):
                known = Known(what, wanted, wanted / found), row * parameters.scale
                break
        yield known


def gear_row(parameters: MechanicalParameters, drive: Drive) -> Tensor:
    """Coefficients, `(n,)`, of the parameters whose sum is a number of an actuator's gear."""
    row = torch.zeros(len(parameters), dtype=parameters.scale.dtype)
    weights = drive.direction / (drive.direction @ drive.direction) / drive.gain
    first = len(parameters) - len(parameters.geared)
    for place, (dof, control) in enumerate(parameters.geared, start=first):
        if control == drive.actuator:
            row[place] = float(weights[dof])
    return row


def gear_name(drive: Drive) -> str:
    """How `known_numbers` calls the gear of an actuator."""
    return f"the gear of {drive.label}"


def _gears(
    parameters: MechanicalParameters, true: Tensor | None, drives: tuple[Drive, ...], of_tree: Tensor
) -> list[tuple[str, Tensor]]:
    """Gears of actuators that act on one tree alone, the largest first."""
    if true is None:
        return []
    rows = [(gear_name(drive), gear_row(parameters, drive)) for drive in drives]
    rows = [(name, row) for name, row in rows if bool(of_tree[row != 0].all())]
    return sorted(rows, key=lambda each: -abs(float(each[1] @ true)))
