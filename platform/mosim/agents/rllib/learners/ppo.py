"""PPO's learner."""

from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner

from mosim.agents.rllib.learners.lean import LeanUpdates


class LeanPPOLearner(LeanUpdates, PPOTorchLearner):
    """RLlib's PPO; see `LeanUpdates`."""
