"""A gated recurrent unit that reads states and actions."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mosim.core.shapes import Action, History, HistoryActions, State, States, WindowActions
from mosim.models.arrays.config import ArrayConfig
from mosim.models.arrays.window_model import WindowModel
from mosim.models.parts.networks import NetworkConfig, ResidualNetwork
from mosim.models.parts.sizes import width_for
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class GRUConfig(ArrayConfig):
    """A GRU."""

    kind: Literal["gru"] = Field(
        default="gru", description="A gated recurrent unit that reads states and actions one after the other."
    )
    history: int = Field(default=8, ge=1, description="States that a prediction begins with.")
    depth: int = Field(default=1, ge=0, description="Residual blocks of the network after the unit.")

    @property
    def structure(self) -> str:
        """See `ModelConfig`."""
        return "GRU"

    @property
    def part_names(self) -> tuple[str, ...]:
        """See `ModelConfig`: the unit, and the network that makes accelerations of what it remembers."""
        return ("memory", "readout")

    def build(self, facts: SystemFacts, statistics: Statistics) -> "GRUModel":
        """See `ModelConfig`."""
        return GRUModel(facts, self, statistics)


class GRUModel(WindowModel):
    """A GRU whose memory, with the state and the action, a residual network makes accelerations of.

    Carries the state and the memory, `(..., width)`, in which the states and actions before are.
    """

    config: GRUConfig

    def __init__(self, facts: SystemFacts, config: GRUConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        self.history = config.history
        width = config.width or width_for(
            config.parameters, lambda width: nn.ModuleList([self._memory(width), self._readout(width)])
        )
        self.memory, self.readout = self._memory(width), self._readout(width)

    def _memory(self, width: int) -> nn.GRUCell:
        return nn.GRUCell(self.input_size, width)

    def _readout(self, width: int) -> ResidualNetwork:
        shape = NetworkConfig(width=width, depth=self.config.depth)
        return ResidualNetwork(width + self.input_size, self.facts.nv, shape)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """See `LearnedModel`."""
        return {"memory": self.memory, "readout": self.readout}

    def init(self, states: History, actions: HistoryActions) -> dict[str, Tensor]:
        """See `DynamicsModel`: reads the states before the last."""
        memory = states.new_zeros(*states.shape[:-2], self.memory.hidden_size)
        for seen in self.seen(states[..., :-1, :], actions).unbind(-2):
            memory = self._read(seen, memory)
        return {"state": states[..., -1, :], "memory": memory}

    def step(self, carry: dict[str, Tensor], action: Action) -> dict[str, Tensor]:
        """See `DynamicsModel`."""
        state = carry["state"]
        seen = self.seen(state, action)
        memory = self._read(seen, carry["memory"])
        return {"state": self.moved(state, action, self._acceleration(memory, seen)), "memory": memory}

    def state(self, carry: dict[str, Tensor]) -> State:
        """See `DynamicsModel`."""
        return carry["state"]

    def foretold(self, states: States, actions: WindowActions) -> States:
        """See `WindowModel`."""
        seen = self.seen(states, actions)
        memory, memories = seen.new_zeros(len(seen), self.memory.hidden_size), []
        for part in seen.unbind(1):
            memory = self._read(part, memory)
            memories.append(memory)
        return self.moved(states, actions, self._acceleration(torch.stack(memories, dim=1), seen))

    def _read(self, seen: Tensor, memory: Tensor) -> Tensor:
        self.nfe += 1
        rows = self.memory(seen.reshape(-1, seen.shape[-1]), memory.reshape(-1, memory.shape[-1]))
        return rows.reshape(memory.shape)

    def _acceleration(self, memory: Tensor, seen: Tensor) -> Tensor:
        return self.readout(torch.cat([memory, seen], dim=-1))
