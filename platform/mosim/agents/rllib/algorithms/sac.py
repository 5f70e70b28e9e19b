"""Soft actor-critic."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from mosim.agents.rllib.recipe import RLlibRecipe, ScheduledRecipe


class SACRecipe(ScheduledRecipe):
    """SAC: off-policy learning from a replay buffer, with an entropy bonus."""

    algorithm: str = Field(default="SAC", description=RLlibRecipe.model_fields["algorithm"].description)
    control_steps: int = Field(default=400_000, ge=1, description="Control steps to train for, summed over all envs.")
    num_envs: int = Field(default=16, ge=1, description="Number of environments, stepped as one batch.")
    rollout_fragment_length: int = Field(default=1, ge=1, description="Actions that each env takes per rollout.")
    gamma: float = Field(default=0.98, gt=0, le=1, description="Discount factor per action.")
    hidden: tuple[int, ...] = Field(
        default=(256, 256), min_length=1, description="Widths of the hidden layers of the actor and the critics."
    )
    gradient_steps: int = Field(default=8, ge=1, description="Gradient steps after each rollout, one batch each.")
    rollouts_per_iteration: int = Field(
        default=16,
        ge=1,
        description="Rollouts per iteration, each followed by its gradient steps; policies are evaluated and saved "
        "between iterations.",
    )
    batch_size: int = Field(default=256, ge=1, description="Replayed actions per batch.")
    buffer_size: int = Field(
        default=1_000_000, ge=1, description="Capacity of the replay buffer, in actions summed over all envs."
    )
    learning_starts: int = Field(
        default=10_000, ge=0, description="Control steps with random actions before the first gradient step."
    )
    n_step: int = Field(default=1, ge=1, description="Number of rewards that a target sums before it bootstraps.")
    tau: float = Field(
        default=0.005,
        gt=0,
        le=1,
        description="Fraction by which the target critics move towards the critics per gradient step.",
    )
    initial_alpha: float = Field(
        default=0.2, gt=0, description="Initial entropy coefficient; from there, it is learned."
    )
    alpha_learning_rate: float = Field(
        default=3e-4, gt=0, description="Adam's learning rate for the entropy coefficient."
    )
    target_entropy: float | None = Field(
        default=None,
        description="Target entropy, for which the entropy coefficient is learned. If omitted: minus the number of "
        "actuators.",
    )

    activation: ClassVar[str] = "relu"

    @model_validator(mode="after")
    def _replay_fits(self) -> Self:
        if self.buffer_size < self.num_envs * (self.n_step + 1):
            raise ValueError(
                "buffer_size must be at least num_envs * (n_step + 1), so that each env has one complete target"
            )
        return self

    def training_settings(self) -> dict[str, Any]:
        """What `training` of RLlib's SACConfig and its heirs takes."""
        return {
            "actor_lr": self.learning_rate,
            "critic_lr": self.learning_rate,
            "alpha_lr": self.alpha_learning_rate,
            "lr": None,
            "tau": self.tau,
            "initial_alpha": self.initial_alpha,
            "target_entropy": "auto" if self.target_entropy is None else self.target_entropy,
            "train_batch_size_per_learner": self.batch_size,
            # RLlib makes it, and insists on its kind; nothing is ever put into it.
            "replay_buffer_config": {"type": "EpisodeReplayBuffer", "capacity": 1},
        }

    def rllib_config(self) -> Any:
        """See `RLlibRecipe`."""
        from mosim.agents.rllib.critics import JointSACCatalog, module_of
        from mosim.agents.rllib.learners.replay import LeanSACLearner
        from mosim.agents.rllib.replay_training import ReplaySACConfig

        config = ReplaySACConfig(self)
        return (
            config.learners(learner_class=LeanSACLearner)
            .training(**self.training_settings())
            .rl_module(rl_module_spec=module_of(config, JointSACCatalog), model_config=self.model_config_of())
        )
