"""What plans are worth: their returns in a dynamics model."""

from collections.abc import Callable

import torch
from torch import Tensor

from mosim.envs import EnvironmentCore, EnvState
from mosim.models import map_carry


class Objective:
    """Returns of plans, as a batch.

    Attributes:
      core: the task over the model that plans are tried in.
      size: of an action, `nu`.
    """

    def __init__(
        self,
        core: EnvironmentCore,
        action_repeat: int,
        gamma: float,
        value: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Takes what plans are worth: their rewards, and the value of the observation at their ends.

        Args:
          core: the task over the model that plans are tried in.
          action_repeat: control steps that an action is held.
          gamma: discount of the rewards per action.
          value: of observations, `(n, observation_size)` to `(n,)`; None counts the rewards alone.
        """
        self.core, self._repeat, self._gamma, self._value = core, action_repeat, gamma, value
        facts, like = core.task.facts, core.dynamics.like
        lower, upper = (torch.tensor(bound).to(like) for bound in (facts.control_lower, facts.control_upper))
        self._middle, self._half = (upper + lower) / 2, (upper - lower) / 2
        self.size = facts.nu

    def controls(self, actions: Tensor) -> Tensor:
        """Actions of [-1, 1] in actuator units, `(..., nu)`."""
        return self._middle + self._half * actions

    def scaled(self, controls: Tensor) -> Tensor:
        """The reverse of `controls`."""
        return (controls.to(self._half) - self._middle) / self._half

    def __call__(self, now: EnvState, plans: Tensor) -> Tensor:
        """Discounted returns, `(n, samples)`.

        What has diverged or ended gives no further reward, and has no value at its end.

        Args:
          now: `n` environments.
          plans: `(n, samples, horizon, nu)`, in [-1, 1].
        """
        samples = plans.shape[1]
        carry = map_carry(lambda part: part.repeat_interleave(samples, dim=0), now.carry)
        now = EnvState(carry, now.context.repeat_interleave(samples, dim=0))
        self.core.dynamics.use_contexts(now.context)
        alive = torch.ones(len(now.context), dtype=torch.bool, device=plans.device)
        total = plans.new_zeros(len(alive), dtype=torch.float64)
        for number, actions in enumerate(plans.flatten(0, 1).unbind(1)):
            control = self.controls(actions)
            for _ in range(self._repeat):
                now, step = self.core.step(now, control, alive)
                alive = alive & step.valid
                total = total + self._gamma**number * torch.where(alive, step.evaluation.reward, 0.0)
                alive = alive & ~step.evaluation.terminated
        if self._value is not None:
            beyond = self._gamma ** plans.shape[2] * self._value(step.evaluation.observation)
            total = total + torch.where(alive, beyond.to(total), 0.0)
        return total.unflatten(0, plans.shape[:2])
