"""What every recipe of a policy has, whatever the algorithm."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from mosim.core.frozen import Frozen
from mosim.envs import StartKind


class PolicyRecipe(Frozen, ABC):
    """Settings of an RLlib algorithm and of how its policy is evaluated; durations are in control steps.

    Each algorithm has a recipe of its own, which adds its fields; see `mosim.agents.recipe_class`.
    """

    algorithm: str = Field(
        default="",
        description="RLlib algorithm: ppo, appo, impala, sac, tqc, the name of an RLlib config class, or "
        "package.module:Class. Each algorithm has its own flags.",
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
    num_envs: int = Field(default=64, ge=1, description="Number of environments, stepped as one batch.")
    num_env_runners: int = Field(
        default=0,
        ge=0,
        description="Number of Ray actors that sample; the envs are divided among them. 0 samples in the trainer's "
        "own process.",
    )
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

    activation: ClassVar[str] = "tanh"
    """Of the hidden layers, by RLlib's name."""

    @field_validator("algorithm")
    @classmethod
    def _is_this_one(cls, value: str) -> str:
        own = cls.model_fields["algorithm"].default
        if value.upper() != own:
            raise ValueError(f"this is a recipe for {own}, not for {value!r}; each algorithm has its own recipe")
        return own

    @model_validator(mode="after")
    def _envs_are_shared_evenly(self) -> Self:
        if self.num_env_runners and self.num_envs % self.num_env_runners:
            raise ValueError("num_envs must be a multiple of num_env_runners, since the envs are divided among them")
        return self

    @property
    def names_module(self) -> bool:
        """Whether the algorithm is a class of a module that mosim does not ship, whose code runs in the training."""
        return ":" in self.algorithm

    def check(self) -> None:
        """Checks what only the code of the algorithm tells, which this imports.

        Raises:
          MosimError: there is no such algorithm, or it does not take the settings.
        """

    @property
    def batch(self) -> int:
        """Actions of all envs in an iteration."""
        return self.num_envs * self.rollout_fragment_length

    @abstractmethod
    def rllib_config(self) -> Any:
        """RLlib's config of the algorithm; envs, runners and seed are up to `make_algorithm`."""

    def rates(self, share: float) -> dict[str, float]:
        """What the learner's `set_rates` takes when `share` of the training is done, in [0, 1]; empty where none is."""
        del share
        return {}

    def model_config_of(self, **more: Any) -> Any:
        """RLlib's description of networks with these hidden layers."""
        # RLlib takes seconds to import, and to read a recipe has no need of it.
        from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

        options = {"fcnet_hiddens": list(self.hidden), "fcnet_activation": self.activation, "vf_share_layers": False}
        return DefaultModelConfig(**options | more)


class ScheduledRecipe(PolicyRecipe):
    """A recipe whose learning rate changes linearly."""

    learning_rate: float = Field(default=3e-4, gt=0, description="Adam's initial learning rate.")
    final_learning_rate: float = Field(
        default=3e-4, ge=0, description="Adam's final learning rate; the rate changes linearly."
    )

    def rates(self, share: float) -> dict[str, float]:
        """See `PolicyRecipe`."""
        return {"learning_rate": self.learning_rate + share * (self.final_learning_rate - self.learning_rate)}


class OnPolicyRecipe(ScheduledRecipe):
    """Settings that PPO, APPO and IMPALA share: learning from the latest samples, and a value function."""

    minibatch_size: int = Field(default=512, ge=2, description="Actions per minibatch.")
    num_epochs: int = Field(default=10, ge=1, description="Passes over the sampled actions per iteration.")
    grad_clip: float | None = Field(
        default=0.5, gt=0, description="Maximum norm of gradients; larger ones are clipped to it."
    )
    entropy_coeff: float = Field(default=0.0, ge=0, description="Initial coefficient of the entropy bonus.")
    entropy_coeff_until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Fraction of the training during which the entropy coefficient decreases linearly to zero.",
    )
    vf_loss_coeff: float = Field(default=0.5, ge=0, description="Coefficient of the value function's loss.")
    free_log_std: bool = Field(
        default=False, description="Whether the policy's standard deviation is independent of the state."
    )

    @model_validator(mode="after")
    def _minibatch_is_a_part(self) -> Self:
        if self.minibatch_size > self.batch:
            raise ValueError(
                "minibatch_size must be at most num_envs * rollout_fragment_length, the number of actions per iteration"
            )
        return self

    def rates(self, share: float) -> dict[str, float]:
        """See `PolicyRecipe`."""
        return super().rates(share) | {"entropy": self.entropy_coeff * max(0.0, 1.0 - share / self.entropy_coeff_until)}

    def training_settings(self) -> dict[str, Any]:
        """What RLlib's configs of these algorithms call the same in `training`."""
        return {
            "lr": self.learning_rate,
            "train_batch_size_per_learner": self.batch,
            "num_epochs": self.num_epochs,
            "grad_clip": self.grad_clip,
            "grad_clip_by": "global_norm",
            "entropy_coeff": self.entropy_coeff,
            "vf_loss_coeff": self.vf_loss_coeff,
        }
