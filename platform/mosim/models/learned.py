"""What training, checkpoints, sweeps and environments know of a model with weights."""

import abc
from collections.abc import Callable, Collection, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mosim.core.shapes import Errors, State, States, Window, WindowActions
from mosim.geometry import ConfigurationSpace
from mosim.models.config import ModelConfig
from mosim.models.interface import DynamicsModel
from mosim.models.limits import StateLimits, limits_within
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

Mean = Callable[[Errors], Tensor]
"""Makes a loss, `()`, of errors: a mean of squares, or of another function of them."""


@runtime_checkable
class Windows(Protocol):
    """Windows of consecutive physics steps of the training data."""

    @property
    def longest(self) -> int:
        """The most physics steps that a window can have."""
        ...

    def spread(self, count: int, horizon: int) -> tuple[Window, WindowActions]:
        """At most `count` windows of so many steps, evenly spread, the same at every call."""
        ...


class LearnedModel(DynamicsModel):
    """A model with weights, made by `ModelConfig.build` of its config class.

    Attributes:
      config: what decides the weights' shapes.
      statistics: the scales of the training data, which checkpoints keep beside the weights.
      nfe: calls of the networks so far (function evaluations), which tell what a physics step costs.
    """

    def __init__(self, facts: SystemFacts, config: ModelConfig, statistics: Statistics) -> None:
        super().__init__(facts)
        self.config: ModelConfig = config
        self.knowledge = config.knowledge
        self.statistics = statistics
        self.space = ConfigurationSpace(facts.joints)
        self.nfe = 0

    @property
    @abc.abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """The groups of weights that stages train and freeze, by the names of `config.part_names`.

        Together they hold every weight. A part may lie within another, and a name whose part this system lacks, such as
        the constraints of one that touches nothing, is absent.
        """

    def part_of(self, weight: str) -> str | None:
        """The outermost part that a weight belongs to, by its name in `state_dict`; None where it is of no part's."""
        prefixes = self._prefixes()
        return min(
            (part for part, prefix in prefixes.items() if weight.startswith(prefix)),
            key=lambda part: len(prefixes[part]),
            default=None,
        )

    def outermost(self, part: str) -> str:
        """The part that a part lies within, or itself."""
        return self.part_of(self._prefixes()[part]) or part

    def _prefixes(self) -> dict[str, str]:
        """How the names of each part's weights begin."""
        names = {id(module): name for name, module in self.named_modules()}
        return {part: f"{names[id(module)]}." for part, module in self.parts.items()}

    def use_parts(self, names: Collection[str]) -> None:
        """Takes the parts of these names into predictions, where the model can do without the others.

        A stage calls it with all parts that stages have named so far.
        """
        del names

    def fit_scales(self, windows: Windows) -> None:
        """Finds from the data what is no weight of a stage's and no statistic, before the first stage."""
        del windows

    def solve(self, names: Collection[str], windows: Windows, validation_error: Callable[[], float]) -> str:
        """Trains parts without gradient steps, where `config.solvable_parts` has them.

        Args:
          names: of the parts.
          windows: the training data.
          validation_error: measures the model as it is.

        Returns:
          What was found, in a sentence.
        """
        raise NotImplementedError(f"{type(self).__name__} has no parts that can be solved for.")

    def errors(self, states: Window, actions: WindowActions) -> Errors:
        """Errors of an open-loop prediction, in units of a physics step's standard deviation.

        Args:
          states: true states, `(batch, history + horizon, state_size)`; a prediction begins with the first `history`.
          actions: `(batch, history - 1 + horizon, nu)`.

        Returns:
          `(batch, horizon, 2 nv)`: position errors in the tangent space, then velocity errors. Activations follow the
          controls whatever the rest does, and have no part in it.
        """
        known = self.history
        predicted = self.predict(states[:, :known], actions[:, : known - 1], actions[:, known - 1 :])
        return self.deviation(predicted, states[:, known:])

    def deviation(self, predicted: States, true: States) -> Errors:
        """How predicted states are off true ones, both `(batch, horizon, state_size)`; units as for `errors`."""
        qpos, qvel, _ = self.facts.layout.split(predicted)
        true_qpos, true_qvel, _ = self.facts.layout.split(true)
        step_std = self.facts.timestep * self.statistics.acceleration_std
        return torch.cat(
            [
                self.space.difference(true_qpos, qpos) / self.statistics.displacement_std,
                (qvel - true_qvel) / step_std,
            ],
            dim=-1,
        )

    def distance(self, one: State, other: State) -> Tensor:
        """How far apart states are, `(...,)`, in the units of `uncertainty`: a root mean square."""
        qpos, qvel, _ = self.facts.layout.split(one)
        other_qpos, other_qvel, _ = self.facts.layout.split(other)
        std = self.statistics.position_std(self.facts).to(one), self.statistics.velocity_std.to(one)
        apart = self.space.difference(other_qpos, qpos) / std[0], (qvel - other_qvel) / std[1]
        return torch.cat(apart, dim=-1).square().mean(-1).sqrt()

    def loss(self, states: Window, actions: WindowActions, mean: Mean) -> tuple[Tensor, Errors]:
        """What gradient steps make smaller, `()`, and the errors by which a diverging training is reported.

        Args:
          states: as for `errors`.
          actions: likewise.
          mean: of the stage; makes a loss of errors.
        """
        errors = self.errors(states, actions)
        return mean(errors), errors

    @property
    def limits(self) -> StateLimits:
        """Those of the training data and of the joints' ranges, with a margin; see `DynamicsModel.limits`."""
        return limits_within(self.facts, self.statistics, self.like)
