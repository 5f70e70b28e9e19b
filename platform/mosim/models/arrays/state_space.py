"""A recurrent state-space model of states, with DreamerV3's losses (arXiv 2301.04104)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mosim.core.shapes import Action, Errors, History, HistoryActions, State, Window, WindowActions
from mosim.models.arrays.config import ArrayConfig
from mosim.models.arrays.decoded_model import DecodedModel
from mosim.models.learned import Mean
from mosim.models.parts.sizes import width_for
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_UNIFORM = 0.01
"""Share of a uniform distribution in every one, so that no class is impossible."""

_DYNAMICS, _REPRESENTATION = 0.5, 0.1
"""Weights of the two parts of the divergence: what moves the prior, and what moves the posterior."""


class RecurrentStateSpaceConfig(ArrayConfig):
    """A recurrent state-space model."""

    kind: Literal["rssm"] = Field(
        default="rssm", description="DreamerV3's recurrent state-space model, which sees states."
    )
    history: int = Field(default=8, ge=1, description="States that a prediction begins with.")
    variables: int = Field(default=16, ge=1, description="Discrete latent variables.")
    classes: int = Field(default=16, ge=2, description="Classes of each variable.")
    free_nats: float = Field(
        default=0.1, ge=0, description="Divergence, in nats, below which it costs nothing; DreamerV3 has 1, for images."
    )

    @property
    def structure(self) -> str:
        """See `ModelConfig`."""
        return "RSSM"

    @property
    def part_names(self) -> tuple[str, ...]:
        """See `ModelConfig`."""
        return ("encoder", "dynamics", "decoder")

    def build(self, facts: SystemFacts, statistics: Statistics) -> "RecurrentStateSpace":
        """See `ModelConfig`."""
        return RecurrentStateSpace(facts, self, statistics)


class RecurrentStateSpace(DecodedModel):
    """A memory, and discrete variables beside it, from both of which states are decoded.

    The posterior of the variables sees the state, the prior does not. Training samples variables and passes gradients
    straight through. A prediction takes the variables' means, so it is not random, and its error is that of a mean of
    samples.

    Carries the state, the memory, and the variables, `(..., variables * classes)`.
    """

    config: RecurrentStateSpaceConfig

    def __init__(self, facts: SystemFacts, config: RecurrentStateSpaceConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        self.history = config.history
        size, controls, latent = facts.nq + facts.nv, facts.driven.nu, config.variables * config.classes

        def make(width: int) -> tuple[nn.Sequential, _Dynamics, nn.Sequential]:
            return (
                _network(width + size, width, latent),
                _Dynamics(latent + controls, width, latent),
                _network(width + latent, width, size),
            )

        width = config.width or width_for(config.parameters, lambda width: nn.ModuleList(make(width)))
        self.encoder, self.dynamics, self.decoder = make(width)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """See `LearnedModel`."""
        return {"encoder": self.encoder, "dynamics": self.dynamics, "decoder": self.decoder}

    def init(self, states: History, actions: HistoryActions) -> dict[str, Tensor]:
        """See `DynamicsModel`: sees every state that is known."""
        memory = states.new_zeros(*states.shape[:-2], self.dynamics.width)
        numbers = self.numbers(states).unbind(-2)
        latent = _mean(self._posterior(memory, numbers[0]))
        for step, seen in enumerate(numbers[1:]):
            memory = self._remembered(memory, latent, states[..., step, :], actions[..., step, :])
            latent = _mean(self._posterior(memory, seen))
        return {"state": states[..., -1, :], "memory": memory, "latent": latent}

    def step(self, carry: dict[str, Tensor], action: Action) -> dict[str, Tensor]:
        """See `DynamicsModel`."""
        state = carry["state"]
        memory = self._remembered(carry["memory"], carry["latent"], state, action)
        latent = _mean(self._prior(memory))
        decoded = self.decoder(torch.cat([memory, latent], dim=-1))
        return {"state": self.decoded(decoded, state, action), "memory": memory, "latent": latent}

    def state(self, carry: dict[str, Tensor]) -> State:
        """See `DynamicsModel`."""
        return carry["state"]

    def loss(self, states: Window, actions: WindowActions, mean: Mean) -> tuple[Tensor, Errors]:
        """See `LearnedModel`: of decoded states, and of what the prior does not know of the posterior.

        All states of a window are seen, so `history` and the stage's `horizon` together say how long it is.
        """
        numbers = self.numbers(states)
        memory, posterior = numbers.new_zeros(len(numbers), self.dynamics.width), None
        decoded, divergences = [], []
        for step, seen in enumerate(numbers.unbind(1)):
            if posterior is not None:
                before = step - 1
                memory = self._remembered(memory, _sampled(posterior), states[:, before], actions[:, before])
            prior, posterior = self._prior(memory), self._posterior(memory, seen)
            decoded.append(self.decoder(torch.cat([memory, _sampled(posterior)], dim=-1)))
            divergences.append(self._divergence(prior, posterior))
        found = torch.stack(decoded, dim=1)
        predicted = self.decoded(found[:, 1:], states[:, :-1], actions)
        loss = mean(found - numbers) * numbers.shape[-1] + torch.stack(divergences).mean()
        return loss, self.deviation(predicted, states[:, 1:])

    def _divergence(self, prior: Tensor, posterior: Tensor) -> Tensor:
        free = self.config.free_nats
        moves_prior = _kullback_leibler(posterior.detach(), prior).clamp(min=free).mean()
        moves_posterior = _kullback_leibler(posterior, prior.detach()).clamp(min=free).mean()
        return _DYNAMICS * moves_prior + _REPRESENTATION * moves_posterior

    def _remembered(self, memory: Tensor, latent: Tensor, state: State, action: Action) -> Tensor:
        self.nfe += 1
        return self.dynamics(memory, torch.cat([latent, self.scaled(self.controls(state, action))], dim=-1))

    def _prior(self, memory: Tensor) -> Tensor:
        return self._probabilities(self.dynamics.prior(memory))

    def _posterior(self, memory: Tensor, numbers: Tensor) -> Tensor:
        return self._probabilities(self.encoder(torch.cat([memory, numbers], dim=-1)))

    def _probabilities(self, logits: Tensor) -> Tensor:
        """`(..., variables, classes)`."""
        classes = self.config.classes
        probabilities = functional.softmax(logits.unflatten(-1, (-1, classes)), dim=-1)
        return (1 - _UNIFORM) * probabilities + _UNIFORM / classes


class _Dynamics(nn.Module):
    """How the memory moves, and the prior of the variables beside it."""

    def __init__(self, inputs: int, width: int, latent: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU())
        self.memory = nn.GRUCell(width, width)
        self.prior = _network(width, width, latent)

    def forward(self, memory: Tensor, seen: Tensor) -> Tensor:
        hidden = self.first(seen)
        return self.memory(hidden.reshape(-1, self.width), memory.reshape(-1, self.width)).reshape(memory.shape)


def _network(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, outputs))


def _sampled(probabilities: Tensor) -> Tensor:
    """Classes drawn at random, one-hot, with the gradient of their probabilities."""
    drawn = torch.multinomial(probabilities.detach().flatten(0, -2), 1).view(probabilities.shape[:-1])
    hard = functional.one_hot(drawn, probabilities.shape[-1]).to(probabilities)
    return (hard + probabilities - probabilities.detach()).flatten(-2)


def _mean(probabilities: Tensor) -> Tensor:
    """The mean of one-hot classes: their probabilities."""
    return probabilities.flatten(-2)


def _kullback_leibler(one: Tensor, other: Tensor) -> Tensor:
    """The divergence of the other distribution from the one, in nats, summed over variables."""
    return (one * (one.log() - other.log())).sum((-1, -2))
