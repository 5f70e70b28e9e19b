"""The policy with its noise, and the value functions."""

import copy

import torch
from torch import Tensor, nn

from mosim.agents.gradients.recipe import SHACRecipe
from mosim.agents.moments import CLIP, SMALL, Moments
from mosim.agents.policy import Policy, PolicyFacts, ValueFacts, fully_connected
from mosim.tasks import Task

_SMALL_OUTPUT = 0.01
"""Scale of last layers at first, so that actions begin in the middle of the control range, and values at zero."""


class ActorCritic(nn.Module):
    """A policy, its exploration, and an ensemble of value functions with targets.

    Attributes:
      policy: acts without exploration.
      log_std: of actions before the tanh, `(nu,)`.
      critics, targets: value functions of filtered observations, and those that follow them slowly.
    """

    def __init__(self, recipe: SHACRecipe, task: Task) -> None:
        super().__init__()
        size, actions = task.observation_size, task.facts.nu
        self.policy = Policy(
            PolicyFacts(
                task=task.name,
                observation_size=size,
                action_size=actions,
                hidden=recipe.hidden,
                clip=CLIP,
                action_repeat=recipe.action_repeat,
                activation=recipe.activation,
                squash=True,
                layer_norm=recipe.layer_norm,
            )
        )
        with torch.no_grad():
            self.policy.lower.copy_(torch.tensor(task.facts.control_lower))
            self.policy.upper.copy_(torch.tensor(task.facts.control_upper))
        self.log_std = nn.Parameter(torch.full((actions,), recipe.initial_std).log())
        self.critics = nn.ModuleList(
            fully_connected(size, recipe.hidden, 1, recipe.activation, recipe.layer_norm)
            for _ in range(recipe.num_critics)
        )
        for network in (self.policy.layers, *self.critics):
            _begin_small(network)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)

    def see(self, seen: Moments) -> None:
        """Filters observations by what has been seen so far."""
        size = self.policy.facts.observation_size
        self.policy.mean.copy_(torch.as_tensor(seen.mean).expand(size))
        self.policy.deviation.copy_(torch.as_tensor(seen.deviation).expand(size) + SMALL)

    def explore(self, observation: Tensor) -> Tensor:
        """A random action, `(n, nu)`, in actuator units, with gradients by weights, deviation and observation."""
        center = self.policy.center(observation)
        return self.policy.control(center + self.log_std.exp() * torch.randn_like(center))

    def value(self, observation: Tensor) -> Tensor:
        """The least of the target value functions, `(..., )`."""
        return self.values(self.policy.filtered(observation), targets=True).amin(dim=0)

    def values(self, filtered: Tensor, targets: bool = False) -> Tensor:
        """Of each value function, `(num_critics, ...)`, of observations that are filtered already."""
        return torch.stack([critic(filtered).squeeze(-1) for critic in (self.targets if targets else self.critics)])

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """Moves the targets towards the value functions by a fraction `tau`."""
        for target, critic in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
            target.lerp_(critic, tau)

    def acting(self, gamma: float, scale: float) -> Policy:
        """A copy of the policy as it is now, on the CPU, with its value function.

        Args:
          gamma: discount of the values per action.
          scale: of the values, in rewards of the task.
        """
        own = self.policy.facts
        value = ValueFacts(
            networks=len(self.targets),
            hidden=own.hidden,
            activation=own.activation,
            layer_norm=own.layer_norm,
            gamma=gamma,
            scale=scale,
        )
        policy = Policy(own.model_copy(update={"value": value}))
        weights = self.policy.state_dict() | self.targets.state_dict(prefix="values.")
        policy.load_state_dict({name: weight.detach().cpu() for name, weight in weights.items()})
        return policy.eval().requires_grad_(False)

    def actor_parameters(self) -> list[nn.Parameter]:
        """Of the policy and its exploration."""
        return [*self.policy.layers.parameters(), self.log_std]


@torch.no_grad()
def _begin_small(network: nn.Module) -> None:
    """Scales the last layer's weights, so that outputs begin near zero."""
    *_, weight, bias = network.parameters()
    weight.mul_(_SMALL_OUTPUT)
    bias.mul_(_SMALL_OUTPUT)
