"""What every recipe of a policy has, whatever the algorithm."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from mosim.core.frozen import Frozen
from mosim.envs import StartKind


class PolicyRecipe(Frozen, ABC):
    """Settings of an RLlib algorithm and of how its policy is judged; a control step is the unit of all durations.

    Each algorithm has a recipe of its own, which adds its fields; see `mosim.agents.recipe_class`.
    """

    algorithm: str = Field(
        default="",
        description="RLlib's algorithm: ppo, appo, impala, sac, tqc, or the name of a config class of RLlib's or "
        "package.module:Class; each has flags of its own.",
    )
    control_steps: int = Field(default=2_000_000, ge=1, description="Control steps to train for, over all envs.")
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of weights, exploration and training episodes.")

    action_repeat: int = Field(default=2, ge=1, description="Control steps that each action is held.")
    start: StartKind = Field(
        default="initial",
        description="Where training episodes start: in the task's own initial states, in states of the data that the "
        "simulator was trained on, or in each of them half of the time.",
    )
    horizon: int | None = Field(
        default=None,
        ge=1,
        description="Control steps after which a training episode is cut, as if it went on; by default the task's own "
        "time limit.",
    )
    num_envs: int = Field(default=64, ge=1, description="Environments stepped as one batch.")
    num_env_runners: int = Field(
        default=0, ge=0, description="Ray actors that sample, sharing the envs; 0 samples in the trainer's own process."
    )
    fragment: int = Field(default=64, ge=1, description="Actions that each env takes between two updates.")

    gamma: float = Field(default=0.97, gt=0, le=1, description="Discount an action.")
    hidden: tuple[int, ...] = Field(
        default=(64, 64), min_length=1, description="Widths of the hidden layers, for policy and value."
    )

    judge_every: int = Field(
        default=200_000, ge=1, description="Control steps between two judgements of the policy in the true task."
    )
    judge_episodes: int = Field(default=20, ge=1, description="Episodes of a judgement.")
    checkpoint_every: int = Field(default=200_000, ge=1, description="Control steps between two checkpoints.")

    activation: ClassVar[str] = "tanh"
    """Of the hidden layers, by RLlib's name."""

    @field_validator("algorithm")
    @classmethod
    def _is_this_one(cls, value: str) -> str:
        own = cls.model_fields["algorithm"].default
        if value.upper() != own:
            raise ValueError(f"{value!r} is another algorithm than {own}, whose recipe this is; each has its own")
        return own

    @model_validator(mode="after")
    def _envs_are_shared_evenly(self) -> Self:
        if self.num_env_runners and self.num_envs % self.num_env_runners:
            raise ValueError("num_envs must be a multiple of num_env_runners, which share them")
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
        """Actions of all envs between two updates."""
        return self.num_envs * self.fragment

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
    """A recipe whose step size changes linearly."""

    learning_rate: float = Field(default=3e-4, gt=0, description="Adam's step size at the start.")
    final_learning_rate: float = Field(default=3e-4, ge=0, description="Adam's step size at the end, linearly.")

    def rates(self, share: float) -> dict[str, float]:
        """See `PolicyRecipe`."""
        return {"learning_rate": self.learning_rate + share * (self.final_learning_rate - self.learning_rate)}


class OnPolicyRecipe(ScheduledRecipe):
    """What PPO, APPO and IMPALA share: gradients of what was sampled last, and a value function."""

    minibatch: int = Field(default=512, ge=2, description="Actions in a minibatch.")
    epochs: int = Field(default=10, ge=1, description="Passes over what was sampled, an update.")
    gradient_clip: float | None = Field(default=0.5, gt=0, description="Largest norm of a gradient.")
    entropy: float = Field(default=0.0, ge=0, description="Weight of the entropy bonus at the start.")
    entropy_until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the training in which the entropy bonus fades to nothing, linearly.",
    )
    value_weight: float = Field(default=0.5, ge=0, description="Weight of the value loss.")
    free_log_std: bool = Field(default=False, description="Exploration noise of the same size in all states.")

    @model_validator(mode="after")
    def _minibatch_is_a_part(self) -> Self:
        if self.minibatch > self.batch:
            raise ValueError("minibatch must be at most num_envs * fragment, the actions of an update")
        return self

    def rates(self, share: float) -> dict[str, float]:
        """See `PolicyRecipe`."""
        return super().rates(share) | {"entropy": self.entropy * max(0.0, 1.0 - share / self.entropy_until)}

    def training_settings(self) -> dict[str, Any]:
        """What RLlib's configs of these algorithms call the same in `training`."""
        return {
            "lr": self.learning_rate,
            "train_batch_size_per_learner": self.batch,
            "num_epochs": self.epochs,
            "grad_clip": self.gradient_clip,
            "grad_clip_by": "global_norm",
            "entropy_coeff": self.entropy,
            "vf_loss_coeff": self.value_weight,
        }
