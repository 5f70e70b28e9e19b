"""Asynchronous proximal policy optimisation."""

from typing import Any

from pydantic import Field

from mosim.agents.rllib.algorithms.impala import VTraceRecipe
from mosim.agents.rllib.recipe import RLlibRecipe


class APPORecipe(VTraceRecipe):
    """APPO: IMPALA's V-trace with PPO's clipping, relative to a target network."""

    algorithm: str = Field(default="APPO", description=RLlibRecipe.model_fields["algorithm"].description)
    num_epochs: int = Field(default=4, ge=1, description="Passes over the sampled actions per iteration.")
    clip_param: float = Field(
        default=0.2, gt=0, description="Clip parameter: how far the probability ratio of an action may be from 1."
    )
    target_network_update_freq: int = Field(
        default=1, ge=1, description="Updates of the policy between two updates of the target network."
    )

    def rllib_config(self) -> Any:
        """See `RLlibRecipe`."""
        from ray.rllib.algorithms.appo import APPOConfig

        from mosim.agents.rllib.learners.vtrace import LeanAPPOLearner

        return (
            APPOConfig()
            .learners(learner_class=LeanAPPOLearner)
            .training(
                clip_param=self.clip_param,
                target_network_update_freq=self.target_network_update_freq,
                tau=1.0,
                use_kl_loss=False,
                use_circular_buffer=False,
                **self.training_settings(),
            )
            .rl_module(model_config=self.model_config_of(free_log_std=self.free_log_std))
        )
