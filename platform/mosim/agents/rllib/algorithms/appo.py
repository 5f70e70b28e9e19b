"""Asynchronous proximal policy optimisation."""

from typing import Any

from pydantic import Field

from mosim.agents.rllib.algorithms.impala import VTraceRecipe
from mosim.agents.rllib.recipe import OnPolicyRecipe


class APPORecipe(VTraceRecipe):
    """APPO: IMPALA's V-trace with PPO's clipping, around a copy of the policy that follows it."""

    algorithm: str = Field(default="APPO", description=OnPolicyRecipe.model_fields["algorithm"].description)
    epochs: int = Field(default=4, ge=1, description="Passes over what was sampled, an update.")
    clip: float = Field(default=0.2, gt=0, description="How far APPO moves an action's probability, as a ratio less 1.")
    copy_every: int = Field(
        default=1, ge=1, description="Updates between two copies of the policy, around which ratios are clipped."
    )

    def rllib_config(self) -> Any:
        """See `PolicyRecipe`."""
        from ray.rllib.algorithms.appo import APPOConfig

        from mosim.agents.rllib.learners.vtrace import LeanAPPOLearner

        return (
            APPOConfig()
            .learners(learner_class=LeanAPPOLearner)
            .training(
                clip_param=self.clip,
                target_network_update_freq=self.copy_every,
                tau=1.0,
                use_kl_loss=False,
                use_circular_buffer=False,
                **self.training_settings(),
            )
            .rl_module(model_config=self.model_config_of(free_log_std=self.free_log_std))
        )
