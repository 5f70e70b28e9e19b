"""What the recipes of RLlib's algorithms share."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from mosim.agents.learner import PolicyLearner, TrainingSetup
from mosim.agents.recipe import PolicyRecipe


class RLlibRecipe(PolicyRecipe):
    """A recipe for one of RLlib's algorithms."""

    num_env_runners: int = Field(
        default=0,
        ge=0,
        description="Number of Ray actors that sample; the envs are divided among them. 0 samples in the trainer's "
        "own process.",
    )

    activation: ClassVar[str] = "tanh"
    """Of the hidden layers, by RLlib's name."""

    @model_validator(mode="after")
    def _envs_are_shared_evenly(self) -> Self:
        if self.num_env_runners and self.num_envs % self.num_env_runners:
            raise ValueError("num_envs must be a multiple of num_env_runners, since the envs are divided among them")
        return self

    @property
    def names_module(self) -> bool:
        """Whether the algorithm is a class of a module that mosim does not ship, whose code runs in the training."""
        return ":" in self.algorithm

    @property
    def processes(self) -> int:
        """See `PolicyRecipe`: of the training itself, and of its env runners."""
        return 1 + self.num_env_runners

    def learner(self, setup: TrainingSetup) -> PolicyLearner:
        """See `PolicyRecipe`."""
        # RLlib takes seconds to import, and to read a recipe has no need of it.
        from mosim.agents.rllib.learner import RLlibLearner

        return RLlibLearner(self, setup)

    @abstractmethod
    def rllib_config(self) -> Any:
        """RLlib's config of the algorithm; envs, runners and seed are up to `make_algorithm`."""

    def rates(self, share: float) -> dict[str, float]:
        """What the learner's `set_rates` takes when `share` of the training is done, in [0, 1]; empty where none is."""
        del share
        return {}

    def model_config_of(self, **more: Any) -> Any:
        """RLlib's description of networks with these hidden layers."""
        from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

        options = {"fcnet_hiddens": list(self.hidden), "fcnet_activation": self.activation, "vf_share_layers": False}
        return DefaultModelConfig(**options | more)


class ScheduledRecipe(RLlibRecipe):
    """A recipe whose learning rate changes linearly."""

    learning_rate: float = Field(default=3e-4, gt=0, description="Adam's initial learning rate.")
    final_learning_rate: float = Field(
        default=3e-4, ge=0, description="Adam's final learning rate; the rate changes linearly."
    )

    def rates(self, share: float) -> dict[str, float]:
        """See `RLlibRecipe`."""
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
        """See `RLlibRecipe`."""
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
