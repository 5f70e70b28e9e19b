"""Policy gradients through a simulator: the reward of a window of steps, differentiated by the policy's weights."""

from mosim.agents.gradients.recipe import SHACRecipe
from mosim.agents.gradients.reward_gradient import require_reward_gradient

__all__ = ["SHACRecipe", "require_reward_gradient"]
