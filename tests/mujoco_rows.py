"""MuJoCo's own rows of constraints, as mosim's solvers take them."""

import mujoco
import numpy as np

from mosim.models.mosim.constraints.rows import ONE_SIDED

_KINDS = mujoco.mjtConstraint
_DRY = (int(_KINDS.mjCNSTR_FRICTION_DOF), int(_KINDS.mjCNSTR_FRICTION_TENDON))


def strengths_of(data: mujoco.MjData) -> np.ndarray:
    """An equality holds however hard it is pulled, dry friction up to its own strength, the rest only pushes."""
    others = np.where(data.efc_type == int(_KINDS.mjCNSTR_EQUALITY), np.inf, ONE_SIDED)
    return np.where(np.isin(data.efc_type, _DRY), data.efc_frictionloss, others)
