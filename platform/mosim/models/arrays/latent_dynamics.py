"""Dynamics of a latent state, as in TD-MPC2 (arXiv 2310.16828), with a decoder."""

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

_GROUP = 8
"""Numbers of a latent state that a softmax normalises together, as in TD-MPC2."""


class LatentDynamicsConfig(ArrayConfig):
    """Latent dynamics."""

    kind: Literal["latent_dynamics"] = Field(
        default="latent_dynamics", description="TD-MPC2's latent dynamics, with a decoder."
    )
    consistency_coef: float = Field(
        default=20.0, ge=0, description="Weight of the latent states' error, beside that of the decoded states."
    )
    rho: float = Field(default=0.5, gt=0, le=1, description="Weight of a step's loss relative to the step before.")

    @property
    def structure(self) -> str:
        """See `ModelConfig`."""
        return "latent dynamics"

    @property
    def part_names(self) -> tuple[str, ...]:
        """See `ModelConfig`."""
        return ("encoder", "dynamics", "decoder")

    def build(self, facts: SystemFacts, statistics: Statistics) -> "LatentDynamics":
        """See `ModelConfig`."""
        return LatentDynamics(facts, self, statistics)


class LatentDynamics(DecodedModel):
    """An encoder of states, a network that moves the latent state, and a decoder.

    Layers and normalisation are TD-MPC2's (LayerNorm, Mish, groups of softmax). So are the losses, but for reward and
    value, which this has none of, and the decoder's, which TD-MPC2 has not.

    Carries the state and the latent state.
    """

    config: LatentDynamicsConfig

    def __init__(self, facts: SystemFacts, config: LatentDynamicsConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        size, controls = facts.nq + facts.nv, facts.driven.nu

        def make(width: int) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
            return (
                _network(size, width, width, latent=True),
                _network(width + controls, width, width, latent=True),
                _network(width, width, size, latent=False),
            )

        width = config.width or width_for(config.parameters, lambda width: nn.ModuleList(make(width)), _GROUP)
        self.encoder, self.dynamics, self.decoder = make(width)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """See `LearnedModel`."""
        return {"encoder": self.encoder, "dynamics": self.dynamics, "decoder": self.decoder}

    def init(self, states: History, actions: HistoryActions) -> dict[str, Tensor]:
        """See `DynamicsModel`."""
        del actions
        state = states[..., -1, :]
        return {"state": state, "latent": self.encoder(self.numbers(state))}

    def step(self, carry: dict[str, Tensor], action: Action) -> dict[str, Tensor]:
        """See `DynamicsModel`."""
        state, latent = carry["state"], self._next(carry["latent"], carry["state"], action)
        return {"state": self.decoded(self.decoder(latent), state, action), "latent": latent}

    def state(self, carry: dict[str, Tensor]) -> State:
        """See `DynamicsModel`."""
        return carry["state"]

    def loss(self, states: Window, actions: WindowActions, mean: Mean) -> tuple[Tensor, Errors]:
        """See `LearnedModel`: of latent states against those that the true ones are encoded as, and of decoded ones."""
        numbers = self.numbers(states)
        encoded = self.encoder(numbers)
        latents = [encoded[:, 0]]
        for step, action in enumerate(actions.unbind(1)):
            # The activations are taken to be the true ones, since they follow the controls whatever the rest does.
            latents.append(self._next(latents[-1], states[:, step], action))
        latent = torch.stack(latents, dim=1)
        decoded = self.decoder(latent)
        weights = self.config.rho ** torch.arange(len(latents), device=latent.device)
        inconsistent = (latent - encoded.detach()).square().mean((0, 2))
        off = torch.stack([mean(part) for part in (decoded - numbers).split(1, dim=1)])
        loss = ((self.config.consistency_coef * inconsistent + off) * weights).mean()
        predicted = self.decoded(decoded[:, 1:], states[:, :-1], actions)
        return loss, self.deviation(predicted, states[:, 1:])

    def _next(self, latent: Tensor, state: State, action: Action) -> Tensor:
        self.nfe += 1
        return self.dynamics(torch.cat([latent, self.scaled(self.controls(state, action))], dim=-1))


class _Grouped(nn.Module):
    """Softmax within each group of numbers."""

    def forward(self, latent: Tensor) -> Tensor:
        return functional.softmax(latent.unflatten(-1, (-1, _GROUP)), dim=-1).flatten(-2)


def _network(inputs: int, width: int, outputs: int, latent: bool) -> nn.Sequential:
    """Two normalised layers, and a third that gives a latent state or plain numbers."""
    layers: list[nn.Module] = []
    for before in (inputs, width):
        layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.Mish()]
    layers.append(nn.Linear(width, outputs))
    return nn.Sequential(*layers, *([nn.LayerNorm(outputs), _Grouped()] if latent else []))
