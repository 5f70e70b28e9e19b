"""The environment itself, in tensors: a batch of episodes on the dynamics' device, differentiable where its parts are.

Gymnasium's environments, RLlib's runners and whatever else acts in a task stand on it. It stops no gradient. Where the
dynamics are a simulator and the task has torch forms, nothing is copied to the host, and a gradient flows from rewards
to actions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mosim.core.errors import MosimError
from mosim.core.threads import single_threaded
from mosim.envs.guards import Guards
from mosim.models import Carry, DynamicsModel, StateLimits, map_carry
from mosim.tasks import Evaluation, Evaluator, Task


class EnvState(NamedTuple):
    """A batch of environments at one moment. Nothing changes it; a step makes another.

    Attributes:
      carry: what the dynamics need for the next step.
      context: of the episodes, `(n, context_size)`, float64.
    """

    carry: Carry
    context: Tensor


class ControlStep(NamedTuple):
    """What came of a control step.

    Attributes:
      states: predicted after each of its physics steps, `(n, n_substeps, state_size)`, whatever they are.
      evaluation: what the task says of the states that the environments have now.
      valid: `(n,)` bool: whether the prediction stayed within the limits and the task's figures are finite. Where it
        did not, the prediction has diverged, and the environment stays in the state before.
      uncertainty: of the control step, `(n,)`; None unless there are guards, which may make it a divergence too.
    """

    states: Tensor
    evaluation: Evaluation
    valid: Tensor
    uncertainty: Tensor | None


class EnvironmentCore:
    """A task over a dynamics model, as functions of tensors.

    Attributes:
      task, dynamics, guards: as given.
      limits: of a state, beyond which a prediction has diverged.
    """

    def __init__(
        self,
        task: Task,
        dynamics: DynamicsModel,
        evaluator: Evaluator | None = None,
        limits: StateLimits | None = None,
        guards: Guards = Guards(),  # noqa: B008 It is frozen.
    ) -> None:
        """Puts the parts together.

        Args:
          task: whose observations, rewards and ends these are.
          dynamics: predicts the motion; must model the task's system, see `mosim.robots.require_fit`.
          evaluator: gives observation and reward; None is the task's own.
          limits: of a state; None is those of the dynamics.
          guards: what becomes of the reward and the episode where the dynamics are uncertain.

        Raises:
          MosimError: there are guards, and the dynamics have no uncertainty.
        """
        self.task, self.dynamics, self.guards = task, dynamics, guards
        self.limits = limits or dynamics.limits
        self._evaluator = evaluator or task.evaluator()
        self._like = dynamics.like
        if guards.active and dynamics.uncertainty(self.idle(1).carry) is None:
            raise MosimError(
                "guards need a simulator that has an uncertainty, which this one has not; train an ensemble, with "
                "--recipe arrays/ensemble, or set no guards."
            )

    def idle(self, count: int) -> EnvState:
        """So many environments, none of which has begun an episode."""
        state = self._like.new_zeros(count, 1, self.task.facts.state_size)
        context = torch.zeros(count, self.task.context_size, dtype=torch.float64, device=self._like.device)
        return EnvState(self.dynamics.init(state, self._like.new_zeros(count, 0, self.task.facts.nu)), context)

    def states_of(self, now: EnvState) -> Tensor:
        """The states of the environments, `(n, state_size)`."""
        return self.dynamics.state(now.carry)

    @single_threaded
    def begin(self, now: EnvState, rows: Tensor, states: Tensor, contexts: Tensor) -> tuple[EnvState, Evaluation]:
        """Starts an episode in some of the environments.

        Args:
          now: all of them.
          rows: the indices of those, `(m,)`.
          states: where they start, `(m, state_size)`.
          contexts: of their episodes, `(m, context_size)`.

        Returns:
          All of them, and what the task says of those that have started.
        """
        states, contexts = states.to(self._like), contexts.to(now.context)
        fresh = self.dynamics.init(states.unsqueeze(1), states.new_zeros(len(states), 0, self.task.facts.nu))
        carry = map_carry(lambda old, new: old.index_copy(0, rows, new), now.carry, fresh)
        now = EnvState(carry, now.context.index_copy(0, rows, contexts))
        self.dynamics.use_contexts(now.context)
        return now, self._evaluator(states, None, contexts, None)

    @single_threaded
    def step(self, now: EnvState, action: Tensor, alive: Tensor | None = None) -> tuple[EnvState, ControlStep]:
        """Advances environments by one control step.

        Args:
          now: before it.
          action: `(n, nu)`, in actuator units, held during the step; within the control range.
          alive: `(n,)` bool: those that move; None for all. The others stay as they are.
        """
        before = self.dynamics.state(now.carry)
        controls = action.unsqueeze(-2).expand(-1, self.task.n_substeps, -1)
        carry, states = self.dynamics.advance(now.carry, controls)
        valid = self.limits.hold(states).flatten(1).all(dim=-1)
        uncertainty = self.dynamics.uncertainty(carry) if self.guards.active else None
        if uncertainty is not None and self.guards.uncertainty_limit is not None:
            valid = valid & (uncertainty <= self.guards.uncertainty_limit)
        carry = self.dynamics.merged(carry)
        last = states[:, -1]
        previous = states[:, -2] if states.shape[1] > 1 else before
        moved = valid if alive is None else valid & alive
        if not moved.all():
            carry = map_carry(lambda old, new: torch.where(_along(moved, new), new, old), now.carry, carry)
            last, previous = (torch.where(_along(moved, part), part, before) for part in (last, previous))
        evaluation = self._evaluator(last, action, now.context, previous)
        told = torch.isfinite(evaluation.reward) & torch.isfinite(evaluation.observation).all(dim=-1)
        if uncertainty is not None:
            doubt = torch.where(valid, uncertainty, 0.0).to(evaluation.reward)
            evaluation = evaluation._replace(reward=evaluation.reward - self.guards.uncertainty_penalty * doubt)
        return EnvState(carry, now.context), ControlStep(states, evaluation, valid & told, uncertainty)


def _along(rows: Tensor, like: Tensor) -> Tensor:
    """`(n,)` as `(n, 1, ...)`, with as many dimensions as another."""
    return rows.reshape(-1, *(1 for _ in range(like.ndim - 1)))
