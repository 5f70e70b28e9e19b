"""Servos: actuators whose force is limited, and feeds back their length or speed; read from a MuJoCo model."""

from collections.abc import Iterator

import mujoco
import numpy as np

from mosim.core.frozen import Frozen
from mosim.geometry import tendon_weights

_LENGTH, _SPEED = 1, 2
"""Places in MuJoCo's `biasprm` of what multiplies a length and a speed."""

_DYNAMICS = [int(getattr(mujoco.mjtDyn, f"mjDYN_{name}")) for name in ("NONE", "INTEGRATOR", "FILTER", "FILTEREXACT")]
_AFFINE = int(mujoco.mjtBias.mjBIAS_AFFINE)
_BIASES = (int(mujoco.mjtBias.mjBIAS_NONE), _AFFINE)
_OF_JOINTS = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
_OF_ONE_NUMBER = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


class ServoFacts(Frozen):
    """An actuator whose force can reach a limit: how it reaches joints, and what it feels of them.

    Attributes:
      name: MuJoCo's.
      control: which control makes its force; in `SystemFacts.driven`, it may be its internal state.
      joints: that it acts on, hinges and slides, as indices into the system's joints.
      coefficients: metres or radians of its length a unit of each joint's position; of a single joint, the sign of the
        gear.
      feels_length, feels_speed: whether its force depends on them.
    """

    name: str
    control: int
    joints: tuple[int, ...]
    coefficients: tuple[float, ...]
    feels_length: bool
    feels_speed: bool


def read_servos(model: mujoco.MjModel, control_lower: np.ndarray, control_upper: np.ndarray) -> Iterator[ServoFacts]:
    """Those of a model whose force is linear between limits, and which act on hinges, slides or fixed tendons.

    How large gains and limits are, is not told; of motors, only those count whose controls can ask for more force than
    their limit.
    """
    for index in np.flatnonzero(model.actuator_forcelimited).tolist():
        fixed = model.actuator_gaintype[index] == int(mujoco.mjtGain.mjGAIN_FIXED)
        linear = fixed and model.actuator_biastype[index] in _BIASES
        weights = _weights(model, index)
        if not linear or weights is None or model.actuator_dyntype[index] not in _DYNAMICS:
            continue
        biased = model.actuator_biastype[index] == _AFFINE
        length, speed = (bool(biased and model.actuator_biasprm[index, place]) for place in (_LENGTH, _SPEED))
        bounds = np.array([control_lower[index], control_upper[index]])
        asked = model.actuator_gainprm[index, 0] * bounds + (model.actuator_biasprm[index, 0] if biased else 0.0)
        lower, upper = model.actuator_forcerange[index]
        if not (length or speed) and asked.min() >= lower and asked.max() <= upper:
            continue
        joints = np.flatnonzero(weights)
        yield ServoFacts(
            name=model.actuator(index).name or f"ctrl[{index}]",
            control=index,
            joints=tuple(joints.tolist()),
            coefficients=tuple(weights[joints].tolist()),
            feels_length=length,
            feels_speed=speed,
        )


def _weights(model: mujoco.MjModel, actuator: int) -> np.ndarray | None:
    """By joint, `(njnt,)`, what a unit of its position adds to an actuator's length, the gear's size aside."""
    target, kind = int(model.actuator_trnid[actuator, 0]), int(model.actuator_trntype[actuator])
    sign = np.sign(model.actuator_gear[actuator, 0])
    if kind in _OF_JOINTS and model.jnt_type[target] in _OF_ONE_NUMBER:
        weights = np.eye(model.njnt)[target]
    elif kind == int(mujoco.mjtTrn.mjTRN_TENDON):
        weights = tendon_weights(model, target)
    else:
        weights = None
    return None if weights is None or not sign or not weights.any() else sign * weights
