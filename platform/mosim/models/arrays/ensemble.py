"""An ensemble of networks that predict a distribution of accelerations, as in PETS (arXiv 1805.12114)."""

import itertools
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mosim.core.shapes import Action, Errors, History, HistoryActions, State, Window, WindowActions
from mosim.models.arrays.array_model import ArrayModel
from mosim.models.arrays.config import ArrayConfig
from mosim.models.learned import Mean
from mosim.models.parts.sizes import width_for
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_BOUND_WEIGHT = 0.01
"""Weight, in the loss, of the distance between the learned bounds of log variances, as in PETS."""


class EnsembleConfig(ArrayConfig):
    """An ensemble."""

    kind: Literal["ensemble"] = Field(
        default="ensemble", description="Networks that each predict a normal distribution of accelerations."
    )
    members: int = Field(default=5, ge=2, description="Networks; parameters counts the weights of all together.")
    depth: int = Field(default=2, ge=0, description="Hidden layers of each after the first.")

    @property
    def structure(self) -> str:
        """See `ModelConfig`."""
        return "ensemble"

    @property
    def part_names(self) -> tuple[str, ...]:
        """See `ModelConfig`: the members are one part."""
        return ("members",)

    @property
    def has_uncertainty(self) -> bool:
        """See `ModelConfig`."""
        return True

    def build(self, facts: SystemFacts, statistics: Statistics) -> "Ensemble":
        """See `ModelConfig`."""
        return Ensemble(facts, self, statistics)


class Ensemble(ArrayModel):
    """Members that differ by their first weights, each of which predicts a motion of its own.

    They are trained by the likelihood of single steps, where the stage's loss function is not used, and in stages of a
    longer horizon by the errors of each member's own rollouts. A prediction follows each member's mean; the state is
    the mean of theirs.

    Carries the members' states, `(..., members, state_size)`.
    """

    config: EnsembleConfig
    _position_scale: Tensor

    def __init__(self, facts: SystemFacts, config: EnsembleConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)

        def make(width: int) -> _Members:
            return _Members(config.members, self.input_size, facts.nv, width, config.depth)

        self.members = make(config.width or width_for(config.parameters, make))
        self.register_buffer("_position_scale", statistics.position_std(facts), persistent=False)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """See `LearnedModel`."""
        return {"members": self.members}

    def init(self, states: History, actions: HistoryActions) -> Tensor:
        """See `DynamicsModel`."""
        del actions
        return states[..., -1:, :].expand(*states.shape[:-2], self.config.members, -1)

    def step(self, carry: Tensor, action: Action) -> Tensor:
        """See `DynamicsModel`."""
        self.nfe += 1
        actions = action.unsqueeze(-2).expand(*carry.shape[:-1], -1)
        mean, _ = self.members(self.seen(carry, actions))
        return self.moved(carry, actions, mean)

    def state(self, carry: Tensor) -> State:
        """See `DynamicsModel`: the mean of the members' states."""
        qpos, qvel, act = self.facts.layout.split(carry[..., 0, :])
        positions, velocities = (part.mean(-2) for part in self._apart(carry))
        return torch.cat([self.space.integrate(qpos, positions), qvel + velocities, act], dim=-1)

    def uncertainty(self, carry: Tensor) -> Tensor:
        """See `DynamicsModel`: how far the members have parted."""
        positions, velocities = self._apart(carry)
        spread = torch.cat(
            [positions.std(-2) / self._position_scale, velocities.std(-2) * self._velocity_scale], dim=-1
        )
        return spread.square().mean(-1).sqrt()

    def merged(self, carry: Tensor) -> Tensor:
        """See `DynamicsModel`. The mean of states that have parted is no motion of the robot, which episodes need."""
        return self.state(carry).unsqueeze(-2).expand_as(carry)

    def _apart(self, carry: Tensor) -> tuple[Tensor, Tensor]:
        """Positions and velocities of the members, as distances from the first one's, `(..., members, nv)` each."""
        qpos, qvel, _ = self.facts.layout.split(carry)
        return self.space.difference(qpos[..., :1, :].expand_as(qpos), qpos), qvel - qvel[..., :1, :]

    def loss(self, states: Window, actions: WindowActions, mean: Mean) -> tuple[Tensor, Errors]:
        """See `LearnedModel`: of single steps, minus the members' mean log likelihood, up to a constant."""
        if states.shape[1] > 2:
            return self._rollout_loss(states, actions, mean)
        self.nfe += 1
        before, after = states[:, :-1], states[:, 1:]
        seen = self.seen(before, actions).unsqueeze(-2).expand(-1, -1, self.config.members, -1)
        predicted, log_variance = self.members(seen)
        qpos, qvel, _ = self.facts.layout.split(before)
        change = (self.facts.layout.split(after)[1] - qvel) / (self.facts.timestep * self._acceleration_std)
        true = self.positions.turned_in(qpos, change).unsqueeze(-2)
        unlikely = 0.5 * ((predicted - true).square() * (-log_variance).exp() + log_variance)
        errors = self.deviation(self.moved(before, actions, predicted.mean(-2)), after)
        return unlikely.mean() + _BOUND_WEIGHT * self.members.between_bounds(), errors

    def _rollout_loss(self, states: Window, actions: WindowActions, mean: Mean) -> tuple[Tensor, Errors]:
        """The mean over the errors of all members' rollouts, and the errors of their mean."""
        carry, carries = self.init(states[:, :1], actions[:, :0]), []
        for action in actions.unbind(1):
            carry = self.step(carry, action)
            carries.append(carry)
        rollouts = torch.stack(carries, dim=2)  # (batch, members, horizon, state)
        true = states[:, 1:]
        each = self.deviation(rollouts.flatten(0, 1), true.repeat_interleave(self.config.members, dim=0))
        return mean(each), self.deviation(self.state(rollouts.transpose(1, 2)), true)


class _Members(nn.Module):
    """Networks side by side, each with weights of its own."""

    def __init__(self, members: int, inputs: int, outputs: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [inputs, *(width for _ in range(depth + 1)), 2 * outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in itertools.pairwise(sizes):
            weight = torch.empty(members, before, after)
            nn.init.trunc_normal_(weight, std=1 / (2 * before**0.5))  # As PETS.
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, after)))
        self.highest, self.lowest = (
            nn.Parameter(torch.full((outputs,), 0.5)),
            nn.Parameter(torch.full((outputs,), -10.0)),
        )

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances, `(..., members, outputs)`, of what each member sees, `(..., members, inputs)`."""
        hidden = seen.flatten(0, -3).transpose(0, 1)
        *layers, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in layers:
            hidden = functional.silu(torch.baddbmm(bias, hidden, weight))
        found = torch.baddbmm(last[1], hidden, last[0]).transpose(0, 1).unflatten(0, seen.shape[:-2])
        mean, log_variance = found.chunk(2, dim=-1)
        log_variance = self.highest - functional.softplus(self.highest - log_variance)
        return mean, self.lowest + functional.softplus(log_variance - self.lowest)

    def between_bounds(self) -> Tensor:
        """How far apart the bounds of the log variances are, summed over outputs."""
        return (self.highest - self.lowest).sum()
