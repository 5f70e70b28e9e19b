"""Proximal policy optimisation."""

from typing import Any

from pydantic import Field

from mosim.agents.rllib.recipe import OnPolicyRecipe

_UNCLIPPED = 1e9
"""Stands for no limit where RLlib wants a number."""


class PPORecipe(OnPolicyRecipe):
    """PPO: several epochs over the latest samples, with clipped changes of the actions' probabilities."""

    algorithm: str = Field(default="PPO", description=OnPolicyRecipe.model_fields["algorithm"].description)
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="Lambda of generalised advantage estimation.")
    clip_param: float = Field(
        default=0.2, gt=0, description="Clip parameter: how far the probability ratio of an action may be from 1."
    )

    def rllib_config(self) -> Any:
        """See `RLlibRecipe`."""
        from ray.rllib.algorithms.ppo import PPOConfig

        from mosim.agents.rllib.learners.ppo import LeanPPOLearner

        return (
            PPOConfig()
            .learners(learner_class=LeanPPOLearner)
            .training(
                lambda_=self.gae_lambda,
                minibatch_size=self.minibatch_size,
                clip_param=self.clip_param,
                vf_clip_param=_UNCLIPPED,
                use_kl_loss=False,
                **self.training_settings(),
            )
            .rl_module(model_config=self.model_config_of(free_log_std=self.free_log_std))
        )
