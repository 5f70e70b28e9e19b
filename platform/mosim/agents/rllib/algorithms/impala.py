"""Importance-weighted actors and learner, and what APPO shares with it."""

from typing import Any, Self

from pydantic import Field, model_validator

from mosim.agents.rllib.recipe import OnPolicyRecipe


class VTraceRecipe(OnPolicyRecipe):
    """What IMPALA and APPO share: V-trace, which weighs actions by how likely they are by now."""

    fragment: int = Field(default=32, ge=1, description="Actions that each env takes between two updates.")
    minibatch: int = Field(default=512, ge=1, description="Actions in a minibatch, which is made of whole fragments.")
    rho_clip: float = Field(
        default=1.0, gt=0, description="Largest weight that V-trace gives an action in values and advantages."
    )
    reward_scale: float = Field(
        default=1.0,
        gt=0,
        description="What rewards are multiplied by where they are learned from. It sets the size of the values, and "
        "that of the advantages beside the entropy bonus, since V-trace does not normalise them.",
    )

    @model_validator(mode="after")
    def _minibatch_is_whole_fragments(self) -> Self:
        if self.minibatch % self.fragment:
            raise ValueError("minibatch must be a multiple of fragment, since V-trace needs whole fragments")
        return self

    def training_settings(self) -> dict[str, Any]:
        """See `OnPolicyRecipe`."""
        return super().training_settings() | {
            "minibatch_size": self.minibatch,
            "vtrace_clip_rho_threshold": self.rho_clip,
            "vtrace_clip_pg_rho_threshold": self.rho_clip,
            "learner_config_dict": {"reward_scale": self.reward_scale},
            # Every iteration brings the runners up to date, and waits a little for them rather than asking in a loop.
            "broadcast_interval": 0,
            "timeout_s_sampler_manager": 0.05,
        }


class IMPALARecipe(VTraceRecipe):
    """IMPALA: env runners sample while the learner learns from what they sampled with older weights."""

    algorithm: str = Field(default="IMPALA", description=OnPolicyRecipe.model_fields["algorithm"].description)
    epochs: int = Field(default=1, ge=1, description="Passes over what was sampled, an update.")

    def rllib_config(self) -> Any:
        """See `PolicyRecipe`."""
        from ray.rllib.algorithms.impala import IMPALAConfig

        from mosim.agents.rllib.learners.vtrace import LeanIMPALALearner

        return (
            IMPALAConfig()
            .learners(learner_class=LeanIMPALALearner)
            .training(**self.training_settings())
            .rl_module(model_config=self.model_config_of(free_log_std=self.free_log_std))
        )
