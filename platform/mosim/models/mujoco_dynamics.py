"""MuJoCo itself behind the interface of a dynamics model."""

import mujoco
import numpy as np
import torch
from mujoco import rollout as mujoco_rollout
from torch import Tensor

from mosim.core.shapes import Action, Actions, History, HistoryActions, State, States
from mosim.models.interface import MarkovModel
from mosim.robots import System

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS


class MujocoDynamics(MarkovModel):
    """The true physics, on `threads` threads of MuJoCo's own `rollout`.

    Not differentiable; float64 inside. The contact solver starts cold at every call, so states agree with an unbroken
    simulation to the solver's tolerance and not to the last bit.
    """

    def __init__(self, system: System, threads: int = 1) -> None:
        super().__init__(system.facts)
        self._system = system
        self._data = [mujoco.MjData(system.model) for _ in range(threads)]
        self._pool = mujoco_rollout.Rollout(nthread=threads if threads > 1 else 0)
        self._contexts: np.ndarray | None = None

    def use_contexts(self, contexts: Tensor) -> None:
        """Sets the context of each row of the batches to come: `(batch, context_size)`, for physics that need it."""
        self._contexts = contexts.cpu().numpy() if self._system.context_in_dynamics else None

    def uncertainty(self, carry: State) -> Tensor:
        """None at all, so that what trains in a simulator with guards trains in the true task alike."""
        return carry.new_zeros(carry.shape[:-1])

    def step(self, carry: State, action: Action) -> State:
        """One `mj_step` for each row."""
        return self.advance(carry, action.unsqueeze(-2))[0]

    def advance(self, carry: State, actions: Actions) -> tuple[State, States]:
        """One `mj_step` for each row and action."""
        size = self.facts.state_size
        start = carry.detach().double().cpu().numpy().reshape(-1, size)
        control = actions.detach().double().cpu().numpy().reshape(len(start), *actions.shape[-2:])
        full = np.zeros((len(start), mujoco.mj_stateSize(self._system.model, _STATE)))
        full[:, 1 : 1 + size] = start  # mjSTATE_FULLPHYSICS starts with the time.
        if self._contexts is None:
            models = self._system.model
        else:
            models = [self._system.model_for(context) for context in self._contexts]
        states, _ = self._pool.rollout(models, self._data, full, control)
        result = torch.from_numpy(np.ascontiguousarray(states[..., 1 : 1 + size]))
        states = result.reshape(*carry.shape[:-1], actions.shape[-2], size).to(carry)
        return states[..., -1, :], states


class ChaosFloor(MujocoDynamics):
    """MuJoCo started a little off: the floor that chaos sets to any prediction."""

    def __init__(self, system: System, threads: int = 1, perturbation: float = 1e-6, seed: int = 0) -> None:
        """`perturbation` is the length of the random step away from the start, taken along the degrees of freedom."""
        super().__init__(system, threads)
        self._perturbation = perturbation
        self._random = np.random.default_rng(seed)

    def init(self, states: History, actions: HistoryActions) -> State:
        """The last state, moved by `perturbation` in a random direction; in float64, since float32 is hardly finer."""
        state = super().init(states, actions)
        layout, nv = self.facts.layout, self.facts.nv
        moved = state.detach().double().cpu().numpy().reshape(-1, layout.size).copy()
        for row in moved:
            direction = self._random.normal(size=2 * nv)
            direction *= self._perturbation / np.linalg.norm(direction)
            qpos = np.ascontiguousarray(row[layout.qpos])
            mujoco.mj_integratePos(self._system.model, qpos, direction[:nv], 1.0)
            row[layout.qpos] = qpos
            row[layout.qvel] += direction[nv:]
        return torch.from_numpy(moved).reshape(state.shape)
