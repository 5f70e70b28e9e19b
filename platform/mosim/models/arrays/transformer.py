"""A causal Transformer over the last states and actions."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mosim.core.shapes import Action, History, HistoryActions, State, States, WindowActions
from mosim.models.arrays.config import ArrayConfig
from mosim.models.arrays.window_model import WindowModel
from mosim.models.parts.sizes import width_for
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class TransformerConfig(ArrayConfig):
    """A Transformer."""

    kind: Literal["transformer"] = Field(
        default="transformer", description="A causal Transformer that reads the last states and actions."
    )
    history: int = Field(default=8, ge=1, description="States and actions that each prediction sees.")
    layers: int = Field(default=2, ge=1, description="Layers of attention and of feed-forward networks.")
    heads: int = Field(default=2, ge=1, description="Attention heads of a layer; the width is a multiple of this.")
    own_frame: bool = Field(
        default=True,
        description="See positions and directions from a free root, if there is one, as NeRD does (arXiv 2508.15755): "
        "where it stands and which way it faces then make no difference. Set it to false where they do.",
    )

    @property
    def structure(self) -> str:
        """See `ModelConfig`."""
        return "Transformer"

    @property
    def part_names(self) -> tuple[str, ...]:
        """See `ModelConfig`: all of it is one part."""
        return ("network",)

    def build(self, facts: SystemFacts, statistics: Statistics) -> "TransformerModel":
        """See `ModelConfig`."""
        return TransformerModel(facts, self, statistics)


class TransformerModel(WindowModel):
    """A Transformer whose last token gives the acceleration.

    A token is a state with the action taken in it. How far a token looks back at another is a learned number of each
    head, added to their attention, so that a window may be shorter than `history` when an episode begins.

    Carries the state; the tokens before it, `(..., history - 1, input_size)`, the newest last; and how many of these
    there are, `(..., 1)`.
    """

    config: TransformerConfig

    def __init__(self, facts: SystemFacts, config: TransformerConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics, own_frame=config.own_frame)
        self.history = config.history

        def make(width: int) -> _Network:
            return _Network(self.input_size, facts.nv, config, width)

        width = config.width or width_for(config.parameters, make, config.heads)
        self.network = make(width)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """See `LearnedModel`."""
        return {"network": self.network}

    def init(self, states: History, actions: HistoryActions) -> dict[str, Tensor]:
        """See `DynamicsModel`."""
        tokens = self.seen(states[..., :-1, :], actions)
        known, wanted = tokens.shape[-2], self.history - 1
        tokens = functional.pad(tokens, (0, 0, wanted - known, 0))  # Crops what is more than wanted.
        count = states.new_full((*states.shape[:-2], 1), min(known, wanted))
        return {"state": states[..., -1, :], "tokens": tokens, "count": count}

    def step(self, carry: dict[str, Tensor], action: Action) -> dict[str, Tensor]:
        """See `DynamicsModel`."""
        self.nfe += 1
        state, count = carry["state"], carry["count"]
        tokens = torch.cat([carry["tokens"], self.seen(state, action).unsqueeze(-2)], dim=-2)
        age = torch.arange(self.history - 1, -1, -1, device=tokens.device)
        acceleration = self.network(tokens, age <= count)[..., -1, :]
        return {
            "state": self.moved(state, action, acceleration),
            "tokens": tokens[..., 1:, :],
            "count": (count + 1).clamp(max=self.history - 1),
        }

    def state(self, carry: dict[str, Tensor]) -> State:
        """See `DynamicsModel`."""
        return carry["state"]

    def foretold(self, states: States, actions: WindowActions) -> States:
        """See `WindowModel`: all of a window at once."""
        self.nfe += 1
        tokens = self.seen(states, actions)
        known = torch.ones(tokens.shape[:-1], dtype=torch.bool, device=tokens.device)
        return self.moved(states, actions, self.network(tokens, known))


class _Network(nn.Module):
    """Layers of causal attention and of feed-forward networks, each on normalised tokens (pre-norm)."""

    def __init__(self, inputs: int, outputs: int, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(_Layer(width, config.heads, config.history) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        """Maps `(..., n, inputs)` to `(..., n, outputs)`; `known`, `(..., n)`, says which tokens there are."""
        hidden = self.first(tokens)
        for layer in self.layers:
            hidden = layer(hidden, known)
        return self.last(self.norm(hidden))


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, history: int) -> None:
        super().__init__()
        self._heads = heads
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.by_age = nn.Parameter(torch.zeros(heads, history))
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, known: Tensor) -> Tensor:
        split = self.attention(self.attention_norm(hidden)).unflatten(-1, (3, self._heads, -1))
        query, key, value = (part.squeeze(-3).transpose(-2, -3) for part in split.split(1, dim=-3))
        mixed = functional.scaled_dot_product_attention(query, key, value, self._bias(known))
        hidden = hidden + self.joined(mixed.transpose(-2, -3).flatten(-2))
        return hidden + self.feed(self.feed_norm(hidden))

    def _bias(self, known: Tensor) -> Tensor:
        """What is added to the attention, `(..., heads, n, n)`: by age; minus infinity where nothing is seen."""
        place = torch.arange(known.shape[-1], device=known.device)
        age = place.unsqueeze(-1) - place
        bias = self.by_age[:, age.clamp(min=0)]
        # A token sees itself in any case: what nobody looks at must be finite too.
        sees = ((age > 0) & known.unsqueeze(-2)) | (age == 0)
        return bias.masked_fill(~sees.unsqueeze(-3), -torch.inf)
