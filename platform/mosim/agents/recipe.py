"""What every recipe of a policy has, whatever the algorithm."""

from abc import ABC, abstractmethod

from pydantic import Field, field_validator

from mosim.agents.learner import PolicyLearner, TrainingSetup
from mosim.core.frozen import Frozen
from mosim.envs import Guards, StartKind
from mosim.models import DynamicsModel
from mosim.tasks import Task


class PolicyRecipe(Frozen, ABC):
    """Settings of an algorithm and of how its policy is evaluated; durations are in control steps.

    Each algorithm has a recipe of its own, which adds its fields; see `mosim.agents.recipe_class`.
    """

    algorithm: str = Field(
        default="",
        description="RLlib algorithm: ppo, appo, impala, sac, tqc, the name of an RLlib config class, or "
        "package.module:Class; or shac, which follows gradients through the simulator. Each algorithm has its own "
        "flags.",
    )
    control_steps: int = Field(default=2_000_000, ge=1, description="Control steps to train for, summed over all envs.")
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Random seed of weights, exploration and training episodes."
    )

    action_repeat: int = Field(default=2, ge=1, description="Number of control steps for which each action is held.")
    start: StartKind = Field(
        default="initial",
        description="Where training episodes start: in the task's own initial states (initial), in states of the "
        "simulator's training data (data), or half of them in each (mixed).",
    )
    max_episode_steps: int | None = Field(
        default=None,
        ge=1,
        description="Actions after which a training episode is truncated. If omitted: the task's own time limit.",
    )
    guards: Guards = Guards()
    num_envs: int = Field(default=64, ge=1, description="Number of environments, stepped as one batch.")
    rollout_fragment_length: int = Field(default=64, ge=1, description="Actions that each env takes per iteration.")

    gamma: float = Field(default=0.97, gt=0, le=1, description="Discount factor per action.")
    hidden: tuple[int, ...] = Field(
        default=(64, 64), min_length=1, description="Widths of the hidden layers of the policy and the value function."
    )

    eval_interval: int = Field(
        default=200_000, ge=1, description="Control steps between evaluations of the policy in the true task."
    )
    eval_episodes: int = Field(default=20, ge=1, description="Episodes per evaluation.")
    checkpoint_interval: int = Field(default=200_000, ge=1, description="Control steps between checkpoints.")

    @field_validator("algorithm")
    @classmethod
    def _is_this_one(cls, value: str) -> str:
        own = cls.model_fields["algorithm"].default
        if value.upper() != own:
            raise ValueError(f"this is a recipe for {own}, not for {value!r}; each algorithm has its own recipe")
        return own

    @property
    def processes(self) -> int:
        """That a training takes, each on a core of its own."""
        return 1

    @property
    def batch(self) -> int:
        """Actions of all envs in an iteration."""
        return self.num_envs * self.rollout_fragment_length

    def check(self) -> None:
        """Checks what only the code of the algorithm tells, which this imports.

        Raises:
          MosimError: there is no such algorithm, or it does not take the settings.
        """

    def check_setup(self, task: Task, dynamics: DynamicsModel) -> None:
        """Checks that the algorithm can train a policy for a task in these dynamics.

        Raises:
          MosimError: it cannot; says why, and what can.
        """
        del task, dynamics

    @abstractmethod
    def learner(self, setup: TrainingSetup) -> PolicyLearner:
        """Starts to train a policy."""
