"""MuJoCo's own rows of constraints, as mosim's solvers take them."""

from typing import NamedTuple

import mujoco
import numpy as np

from mosim.models.mosim.constraints.force_law import CONE, ONE_SIDED

_KINDS = mujoco.mjtConstraint
_DRY = (int(_KINDS.mjCNSTR_FRICTION_DOF), int(_KINDS.mjCNSTR_FRICTION_TENDON))


class MujocoRows(NamedTuple):
    """Jacobian, `(rows, nv)`, and of each row what `Rows` says of it; those of cones come first."""

    jacobian: np.ndarray
    target: np.ndarray
    stiffness: np.ndarray
    strength: np.ndarray
    cone: np.ndarray


def rows_of(model: mujoco.MjModel, data: mujoco.MjData) -> MujocoRows:
    """The rows at a state, after `mj_forward`.

    An equality holds however hard it is pulled, dry friction up to its own strength, the rest only pushes; the three
    rows of an elliptic cone are scaled so that all have one stiffness.
    """
    scale, cone, order = np.ones(data.nefc), np.zeros(data.nefc), []
    for contact in data.contact[: data.ncon]:
        first = contact.efc_address
        if first >= 0 and data.efc_type[first] == int(_KINDS.mjCNSTR_CONTACT_ELLIPTIC):
            assert contact.dim == CONE
            scale[first : first + CONE] = [contact.mu, *contact.friction[: CONE - 1]]
            cone[first] = contact.mu
            order += range(first, first + CONE)
    order += [row for row in range(data.nefc) if row not in order]
    others = np.where(data.efc_type == int(_KINDS.mjCNSTR_EQUALITY), np.inf, ONE_SIDED)
    strength = np.where(np.isin(data.efc_type, _DRY), data.efc_frictionloss, others)
    jacobian = scale[:, None] * data.efc_J.reshape(-1, model.nv)
    parts = jacobian, scale * data.efc_aref, data.efc_D / scale**2, strength, cone
    return MujocoRows(*(part[order] for part in parts))


def hard_solved(model: mujoco.MjModel, cone: int, impratio: float = 1.0) -> None:
    """Sets a model's cones, and its solver to go on until nothing changes."""
    model.opt.cone, model.opt.impratio = cone, impratio
    model.opt.jacobian, model.opt.tolerance, model.opt.iterations = mujoco.mjtJacobian.mjJAC_DENSE, 0, 200
