"""Importance-weighted actors and learner, and what APPO shares with it."""

from typing import Any, Self

from pydantic import Field, model_validator

from mosim.agents.rllib.recipe import OnPolicyRecipe


class VTraceRecipe(OnPolicyRecipe):
    """Settings that IMPALA and APPO share: V-trace weights actions by their probability under the current policy."""

    rollout_fragment_length: int = Field(default=32, ge=1, description="Actions that each env takes per iteration.")
    minibatch_size: int = Field(
        default=512, ge=1, description="Actions per minibatch; a multiple of rollout_fragment_length."
    )
    vtrace_clip_rho_threshold: float = Field(
        default=1.0, gt=0, description="Upper bound of V-trace's importance weights, for values and advantages."
    )
    reward_scale: float = Field(
        default=1.0,
        gt=0,
        description="Factor on the rewards during learning. It scales the values, and the advantages relative to the "
        "entropy bonus, since V-trace does not normalise advantages.",
    )

    @model_validator(mode="after")
    def _minibatch_is_whole_fragments(self) -> Self:
        if self.minibatch_size % self.rollout_fragment_length:
            raise ValueError(
                "minibatch_size must be a multiple of rollout_fragment_length, since V-trace needs complete fragments"
            )
        return self

    def training_settings(self) -> dict[str, Any]:
        """See `OnPolicyRecipe`."""
        return super().training_settings() | {
            "minibatch_size": self.minibatch_size,
            "vtrace_clip_rho_threshold": self.vtrace_clip_rho_threshold,
            "vtrace_clip_pg_rho_threshold": self.vtrace_clip_rho_threshold,
            "learner_config_dict": {"reward_scale": self.reward_scale},
            # Every iteration brings the runners up to date, and waits a little for them rather than asking in a loop.
            "broadcast_interval": 0,
            "timeout_s_sampler_manager": 0.05,
        }


class IMPALARecipe(VTraceRecipe):
    """IMPALA: env runners sample with older weights while the learner trains."""

    algorithm: str = Field(default="IMPALA", description=OnPolicyRecipe.model_fields["algorithm"].description)
    num_epochs: int = Field(default=1, ge=1, description="Passes over the sampled actions per iteration.")

    def rllib_config(self) -> Any:
        """See `RLlibRecipe`."""
        from ray.rllib.algorithms.impala import IMPALAConfig

        from mosim.agents.rllib.learners.vtrace import LeanIMPALALearner

        return (
            IMPALAConfig()
            .learners(learner_class=LeanIMPALALearner)
            .training(**self.training_settings())
            .rl_module(model_config=self.model_config_of(free_log_std=self.free_log_std))
        )
