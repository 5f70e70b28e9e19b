"""What every dynamics model is: the neural simulator, the baselines, ensembles, and MuJoCo itself."""

import abc

import torch
from torch import Tensor, nn

from mosim.core.shapes import Action, Actions, History, HistoryActions, State, States
from mosim.core.threads import single_threaded
from mosim.models.carry import Carry
from mosim.models.limits import StateLimits, widest_limits
from mosim.robots import SystemFacts


class DynamicsModel(nn.Module, abc.ABC):
    """Predicts physics steps. Everything downstream knows this interface and nothing else.

    Attributes:
      facts: the system that is modelled.
      knowledge: what it knows of its robot, see `mosim.models.config.Knowledge`; empty where nothing is learned.
      history: states that a prediction begins with; 1 for a model that needs the last alone.
    """

    knowledge: str = ""
    history: int = 1

    def __init__(self, facts: SystemFacts) -> None:
        super().__init__()
        self.facts = facts

    @abc.abstractmethod
    def init(self, states: History, actions: HistoryActions) -> Carry:
        """What a prediction begins with.

        Args:
          states: the last `history` states or fewer, one at least, of shape `(..., known, state_size)`: `[qpos, qvel,
            act]`, in SI units, with unit quaternions.
          actions: between them, of shape `(..., known - 1, nu)`.
        """

    @abc.abstractmethod
    def step(self, carry: Carry, action: Action) -> Carry:
        """Predicts one physics step.

        Args:
          carry: from `init` or an earlier step; it stays as it is.
          action: `ctrl`, of shape `(..., nu)`, in actuator units, held during the step.

        Returns:
          What the next step needs. Never raises for a diverging prediction: its state is not finite.
        """

    @abc.abstractmethod
    def state(self, carry: Carry) -> State:
        """The predicted state, of shape `(..., state_size)`."""

    def uncertainty(self, carry: Carry) -> Tensor | None:
        """How uncertain the predicted state is, `(...,)`; None if the model cannot say.

        It is the root mean square over degrees of freedom of standard deviations, of positions and of velocities, in
        standard deviations of the training data, as `LearnedModel.distance` measures errors.
        """
        del carry
        return None

    def merged(self, carry: Carry) -> Carry:
        """What an environment goes on with after a control step: of an ensemble, all members in the mean state."""
        return carry

    def advance(self, carry: Carry, actions: Actions) -> tuple[Carry, States]:
        """Predicts open loop: steps under actions of shape `(..., horizon, nu)`, and the states after each of them."""
        states = []
        for action in actions.unbind(-2):
            carry = self.step(carry, action)
            states.append(self.state(carry))
        return carry, torch.stack(states, dim=-2)

    @property
    def like(self) -> Tensor:
        """An empty tensor of the precision and on the device that predictions are made in."""
        return next((weight.detach().new_empty(0) for weight in self.parameters()), torch.empty(0, dtype=torch.float64))

    @property
    def limits(self) -> StateLimits:
        """Bounds of the state; a prediction beyond them has diverged."""
        return widest_limits(self.facts, self.like)

    def use_contexts(self, contexts: Tensor) -> None:
        """Takes the episodes' contexts, `(batch, context_size)`, on which true physics may depend."""
        del contexts

    @single_threaded
    def predict(self, states: History, between: HistoryActions, actions: Actions) -> States:
        """Predicts open loop from known states.

        Args:
          states: the last states that are known, see `init`.
          between: the actions between them.
          actions: one a physics step, of shape `(..., horizon, nu)`.

        Returns:
          The states after each action, of shape `(..., horizon, state_size)`; those known are not among them.
        """
        _, predicted = self.advance(self.init(states, between), actions)
        return predicted

    def rollout(self, state: State, actions: Actions) -> States:
        """Predicts open loop from one state; see `predict`.

        Differentiable where `step` is. The prediction is computed on one of torch's threads, unless within
        `mosim.torch_threads`; a backward pass through it is the caller's own, on as many as torch has there.

        Args:
          state: where to start, of shape `(..., state_size)`.
          actions: one a physics step, of shape `(..., horizon, nu)`.

        Returns:
          The states after each action, of shape `(..., horizon, state_size)`; the start is not among them.
        """
        return self.predict(state.unsqueeze(-2), actions[..., :0, :], actions)


class MarkovModel(DynamicsModel):
    """A model whose next state follows from the last one and the action: it carries that state and nothing else."""

    @abc.abstractmethod
    def step(self, carry: State, action: Action) -> State:
        """Predicts the state after a physics step, `(..., state_size)`, from the one before; see `DynamicsModel`."""

    def init(self, states: History, actions: HistoryActions) -> State:
        """See `DynamicsModel`."""
        del actions
        return states[..., -1, :]

    def state(self, carry: State) -> State:
        """See `DynamicsModel`."""
        return carry


class Persistence(MarkovModel):
    """The baseline that predicts no change."""

    def step(self, carry: State, action: Action) -> State:
        """Returns the state itself."""
        del action
        return carry
