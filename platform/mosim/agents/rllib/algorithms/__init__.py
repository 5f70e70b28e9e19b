"""RLlib's algorithms: a module each, with its recipe and how RLlib's config is made of it."""

from mosim.agents.rllib.algorithms.appo import APPORecipe
from mosim.agents.rllib.algorithms.impala import IMPALARecipe
from mosim.agents.rllib.algorithms.other import OtherRecipe
from mosim.agents.rllib.algorithms.ppo import PPORecipe
from mosim.agents.rllib.algorithms.sac import SACRecipe
from mosim.agents.rllib.algorithms.tqc import TQCRecipe

__all__ = ["APPORecipe", "IMPALARecipe", "OtherRecipe", "PPORecipe", "SACRecipe", "TQCRecipe"]
