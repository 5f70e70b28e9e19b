"""A kind of model with memory: what somebody else would add to mosim, in one file."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mosim.core.shapes import Action, History, HistoryActions, State
from mosim.models import Knowledge, LearnedModel, ModelConfig, Statistics
from mosim.robots import SystemFacts


class RecurrentConfig(ModelConfig):
    """A GRU that sees the last states and actions."""

    kind: Literal["test_gru"] = "test_gru"
    width: int = Field(default=16, ge=1, description="Units of the GRU.")
    history: int = Field(default=4, ge=1, description="States that a prediction begins with.")

    @property
    def structure(self) -> str:
        return "GRU"

    @property
    def knowledge(self) -> Knowledge:
        return "arrays"

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("memory", "readout")

    def build(self, facts: SystemFacts, statistics: Statistics) -> "RecurrentModel":
        return RecurrentModel(facts, self, statistics)


class RecurrentModel(LearnedModel):
    """Predicts changes of velocity from a GRU's state, and positions from velocities."""

    config: RecurrentConfig

    def __init__(self, facts: SystemFacts, config: RecurrentConfig, statistics: Statistics) -> None:
        super().__init__(facts, config, statistics)
        self.history = config.history
        self.memory = nn.GRUCell(facts.state_size + facts.nu, config.width)
        self.readout = nn.Linear(config.width, facts.nv)

    @property
    def parts(self) -> dict[str, nn.Module]:
        return {"memory": self.memory, "readout": self.readout}

    def init(self, states: History, actions: HistoryActions) -> dict[str, Tensor]:
        hidden = states.new_zeros(*states.shape[:-2], self.memory.hidden_size)
        for step in range(actions.shape[-2]):
            hidden = self._remembered(hidden, states[..., step, :], actions[..., step, :])
        return {"state": states[..., -1, :], "hidden": hidden}

    def step(self, carry: dict[str, Tensor], action: Action) -> dict[str, Tensor]:
        self.nfe += 1
        hidden = self._remembered(carry["hidden"], carry["state"], action)
        qpos, qvel, act = self.facts.layout.split(carry["state"])
        qvel = qvel + self.facts.timestep * self.statistics.acceleration_std.to(qvel) * self.readout(hidden)
        return {
            "state": torch.cat([self.space.integrate(qpos, self.facts.timestep * qvel), qvel, act], dim=-1),
            "hidden": hidden,
        }

    def state(self, carry: dict[str, Tensor]) -> State:
        return carry["state"]

    def _remembered(self, hidden: Tensor, state: State, action: Action) -> Tensor:
        seen = torch.cat([state, action], dim=-1)
        flat = self.memory(seen.reshape(-1, seen.shape[-1]), hidden.reshape(-1, hidden.shape[-1]))
        return flat.reshape(hidden.shape)


def recurrent_model(facts: SystemFacts) -> LearnedModel:
    torch.manual_seed(0)
    return RecurrentConfig().build(facts, Statistics.neutral(facts)).double()
