"""What every task is: a system whose episodes are observed, rewarded and ended."""

import abc

from mosim.robots import System
from mosim.tasks.evaluation import Evaluator


class Task(System, abc.ABC):
    """A system with observations, rewards, ends and a time limit; `System.reset` draws its starts.

    Attributes:
      name: such as `reacher-easy`.
      control_timestep: seconds of a control step, a multiple of the system's physics step.
      episode_steps: control steps of an episode, or None for a task without a time limit.
      observation_size: width of the flattened observation.
    """

    name: str
    control_timestep: float
    episode_steps: int | None
    observation_size: int

    @property
    def n_substeps(self) -> int:
        """Physics steps in a control step."""
        return round(self.control_timestep / self.facts.timestep)

    @property
    @abc.abstractmethod
    def differentiable(self) -> bool:
        """Whether `evaluator` computes in torch, on the device of the states, with gradients."""

    @abc.abstractmethod
    def evaluator(self) -> Evaluator:
        """Observation, reward and end of batches of states; the fastest way that the task has."""

    def exact_evaluator(self) -> Evaluator:
        """The same by the task's own definition, where that is slower."""
        return self.evaluator()
