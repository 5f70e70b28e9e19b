"""Truncated quantile critics."""

from typing import Any, Self

from pydantic import Field, model_validator

from mosim.agents.rllib.algorithms.sac import SACRecipe


class TQCRecipe(SACRecipe):
    """TQC: SAC with critics that predict quantiles of the return; targets omit the highest quantiles."""

    algorithm: str = Field(default="TQC", description=SACRecipe.model_fields["algorithm"].description)
    n_critics: int = Field(default=2, ge=1, description="Number of critics.")
    n_quantiles: int = Field(default=25, ge=1, description="Quantiles that each critic predicts.")
    top_quantiles_to_drop_per_net: int = Field(
        default=2, ge=0, description="Number of highest quantiles of each critic that targets omit."
    )

    @model_validator(mode="after")
    def _some_are_left(self) -> Self:
        if self.top_quantiles_to_drop_per_net >= self.n_quantiles:
            raise ValueError("top_quantiles_to_drop_per_net must be less than n_quantiles")
        return self

    def rllib_config(self) -> Any:
        """See `RLlibRecipe`."""
        from mosim.agents.rllib.critics import JointTQCCatalog, module_of
        from mosim.agents.rllib.learners.replay import LeanTQCLearner
        from mosim.agents.rllib.replay_training import ReplayTQCConfig

        config = ReplayTQCConfig(self)
        return (
            config.learners(learner_class=LeanTQCLearner)
            .training(
                n_critics=self.n_critics,
                n_quantiles=self.n_quantiles,
                top_quantiles_to_drop_per_net=self.top_quantiles_to_drop_per_net,
                **self.training_settings(),
            )
            .rl_module(rl_module_spec=module_of(config, JointTQCCatalog), model_config=self.model_config_of())
        )
