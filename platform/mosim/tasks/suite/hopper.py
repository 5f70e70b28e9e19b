"""Hopper's observation and reward for a batch of states at once."""

import copy
import math

import mujoco
import numpy as np
import torch
from mujoco import rollout
from torch import Tensor, nn

from mosim.tasks.evaluation import Evaluation, refuse_gradient
from mosim.tasks.suite.planar import HeightDifference, PlanarBody
from mosim.tasks.suite.tolerance import tolerance
from mosim.tasks.suite_task import batched_evaluator
from mosim.tasks.task import Task

_STAND_HEIGHT = 0.6
"""Height of the torso above the foot, in metres, from which it stands."""

_HIGHEST = 2.0
"""Height of the torso above the foot, in metres, beyond which it does not stand."""

_HOP_SPEED = 2.0
"""Horizontal speed, in metres a second, from which the reward of hopping is 1."""


@batched_evaluator("hopper-hop", "hopper-stand", differentiable=False)
class HopperEvaluator(nn.Module):
    """A planar hopper on one leg, which feels what its toe and its heel press on.

    Matches `dm_control.suite.hopper`: the observation is all positions but the horizontal one, all velocities, and the
    logarithm of one plus the force on each touch sensor; the reward is for standing, times one for the horizontal
    speed of the centre of mass or for small controls. The forces are MuJoCo's own, computed on the CPU without a
    gradient; the rest is computed where the state is.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._name, self._layout, self._nu = task.name, task.facts.layout, task.facts.nu
        self._hops = task.name == "hopper-hop"
        self._body = PlanarBody(task.model)
        self._height = HeightDifference(task.model, "torso", "foot")
        self._touch = _TouchSensors(task.model)

    def forward(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        """See `Evaluator`.

        Raises:
          MosimError: a gradient is wanted, which the forces do not have.
        """
        del context
        refuse_gradient(self._name, state)
        self.to(state.device)
        state = state.double()
        qpos, qvel, _ = self._layout.split(state)
        cosines, sines = self._body.directions(qpos)
        reward = tolerance(self._height(cosines, sines), (_STAND_HEIGHT, _HIGHEST))
        if self._hops:
            speed = self._body.center_velocity(qvel, cosines, sines)[:, 0]
            hopping = tolerance(speed, (_HOP_SPEED, math.inf), _HOP_SPEED / 2, value_at_margin=0.5, sigmoid="linear")
            reward = reward * hopping
        else:
            control = state.new_zeros(len(state), self._nu) if action is None else action.double()
            small = tolerance(control, (0.0, 0.0), margin=1, value_at_margin=0, sigmoid="quadratic").mean(dim=-1)
            reward = reward * (small + 4) / 5
        touch = torch.log1p(self._touch(state if previous is None else previous.double(), action))
        observation = torch.cat([qpos[:, 1:], qvel, touch], dim=-1)
        return Evaluation(observation, reward, torch.zeros_like(reward, dtype=torch.bool))


class _TouchSensors:
    """What the touch sensors of a model read, in newtons, in the forward pass of a step."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        self._limp = copy.copy(model)  # As dm_control does after a reset, when no action has been taken.
        self._limp.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        touching = model.sensor_type == int(mujoco.mjtSensor.mjSENS_TOUCH)
        self._readings = model.sensor_adr[touching]
        self._size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)

    def __call__(self, state: Tensor, action: Tensor | None) -> Tensor:
        """`(batch, sensors)` for a batch of states and the actions taken in them; None for limp actuators."""
        states = state.cpu().numpy()
        full = np.zeros((len(states), self._size))
        full[:, 1 : 1 + states.shape[1]] = states  # mjSTATE_FULLPHYSICS starts with the time.
        if action is None:
            model, control = self._limp, np.zeros((len(states), 1, self._model.nu))
        else:
            model, control = self._model, action.double().cpu().numpy()[:, None]
        # A step computes its sensors of force in the forward pass that it starts with.
        _, readings = rollout.rollout(model, self._data, full, control)
        return torch.from_numpy(readings[:, 0, self._readings]).to(state.device)
