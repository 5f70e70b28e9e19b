"""What trains a policy, whatever the algorithm: one update after another, and all of its state as plain data."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mosim.agents.policy import Policy
from mosim.envs import Divergence
from mosim.models import DynamicsModel
from mosim.tasks import Task


class TrainingSetup(NamedTuple):
    """Where a policy is trained.

    Attributes:
      task: the task.
      dynamics: a simulator, or MuJoCo itself.
      dynamics_source: what `dynamics` was loaded from, for processes that load it themselves; see
        `mosim.envs.load_dynamics`.
      starts: a file of `StartStates` that episodes start from; None where the recipe needs none.
      device: where simulator and policy are, `cpu` or `cuda`.
      gpus_per_runner: share of a GPU that each env runner holds which is a Ray actor.
    """

    task: Task
    dynamics: DynamicsModel
    dynamics_source: str | Path
    starts: Path | None = None
    device: str = "cpu"
    gpus_per_runner: float = 0.0


class Update(NamedTuple):
    """What an update of the policy sampled.

    Attributes:
      control_steps: taken, summed over all envs.
      episodes: that ended.
      divergences: of those whose prediction diverged.
      return_mean: of the episodes that ended last, while exploring; None before the first.
    """

    control_steps: int
    episodes: int
    divergences: Sequence[Divergence]
    return_mean: float | None


class PolicyLearner(ABC):
    """A policy under training.

    With the same seed, setup and state, an update is the same wherever it runs on the same kind of device.
    """

    @abstractmethod
    def update(self, share: float) -> Update:
        """Samples and learns once.

        Args:
          share: of the training that is done, in [0, 1], which schedules follow.
        """

    @abstractmethod
    def policy(self) -> Policy:
        """A copy of the policy as it is now, which acts without exploration.

        Raises:
          MosimError: it has another form than `Policy`.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that the next update depends on but global generators: a tree of tensors, arrays and plain data."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave, of a learner with the same recipe and setup."""

    def stop(self) -> None:
        """Lets go of processes and memory."""
        return
