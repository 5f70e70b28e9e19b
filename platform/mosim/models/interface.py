"""What every dynamics model is: the neural simulator, the baselines, ensembles, and MuJoCo itself."""

import abc

import torch
from torch import nn

from mosim.core.shapes import Action, Actions, State, States
from mosim.core.threads import single_threaded
from mosim.robots import SystemFacts


class DynamicsModel(nn.Module, abc.ABC):
    """Predicts physics steps. Everything downstream knows this interface and nothing else.

    Attributes:
      facts: the system that is modelled.
      knowledge: how much it is told of its robot, see `ModelConfig.knowledge`; empty of what is not learned.
    """

    knowledge: str = ""

    def __init__(self, facts: SystemFacts) -> None:
        super().__init__()
        self.facts = facts

    @abc.abstractmethod
    def step(self, state: State, action: Action) -> State:
        """Predicts one physics step.

        Args:
          state: `[qpos, qvel]`, of shape `(..., nq + nv)`, in SI units, with unit quaternions.
          action: `ctrl`, of shape `(..., nu)`, in actuator units, held during the step.

        Returns:
          The next state, of shape `(..., nq + nv)`. Never raises for a diverging prediction: it is not finite.
        """

    @single_threaded
    def rollout(self, state: State, actions: Actions) -> States:
        """Predicts open loop.

        Differentiable where `step` is. The prediction is computed on one of torch's threads, unless within
        `mosim.torch_threads`; a backward pass through it is the caller's own, on as many as torch has there.

        Args:
          state: where to start, of shape `(..., nq + nv)`.
          actions: one a physics step, of shape `(..., horizon, nu)`.

        Returns:
          The states after each action, of shape `(..., horizon, nq + nv)`; the start is not among them.
        """
        states = []
        for action in actions.unbind(-2):
            state = self.step(state, action)
            states.append(state)
        return torch.stack(states, dim=-2)


class HoldLast(DynamicsModel):
    """The baseline that predicts no change."""

    def step(self, state: State, action: Action) -> State:
        """Returns the state itself."""
        del action
        return state
