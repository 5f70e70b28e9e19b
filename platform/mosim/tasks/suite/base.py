"""What the batched evaluators of tasks without an episode's context share."""

import abc

import torch
from torch import Tensor, nn

from mosim.tasks.evaluation import Evaluation
from mosim.tasks.task import Task


class StateEvaluator(nn.Module, abc.ABC):
    """A task that never ends an episode itself, and whose reward depends on `qpos`, `qvel` and `ctrl` alone.

    Computes in float64, on whatever device the state is; differentiable wherever the reward is smooth.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._layout, self._nu = task.facts.layout, task.facts.nu
        self._device = torch.device("cpu")

    def forward(self, state: Tensor, action: Tensor | None, context: Tensor, previous: Tensor | None) -> Evaluation:
        """See `Evaluator`."""
        del context, previous
        if state.device != self._device:
            self.to(state.device)
            self._device = state.device
        state = state.double()
        control = state.new_zeros(len(state), self._nu) if action is None else action.double()
        qpos, qvel, _ = self._layout.split(state)
        observation, reward = self.evaluate(qpos, qvel, control)
        return Evaluation(observation, reward, torch.zeros_like(reward, dtype=torch.bool))

    @abc.abstractmethod
    def evaluate(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """Observation, `(batch, observation_size)`, and reward, `(batch,)`.

        Args:
          qpos: `(batch, nq)`, float64.
          qvel: `(batch, nv)`, float64.
          control: `(batch, nu)`, float64, in actuator units; zero at the start of an episode.
        """
