"""A training of each of RLlib's algorithms that takes a second or two, with every part of a long one."""

from typing import Any

from mosim.agents import APPORecipe, IMPALARecipe, OtherRecipe, PPORecipe, RLlibRecipe, SACRecipe, TQCRecipe

TASK = "reacher-easy"

SHORT: dict[str, Any] = {
    "control_steps": 1400,
    "num_envs": 4,
    "hidden": (8, 6),
    "max_episode_steps": 50,
    "eval_interval": 512,
    "eval_episodes": 2,
    "checkpoint_interval": 256,
}
SAMPLED: dict[str, Any] = {"rollout_fragment_length": 16, "minibatch_size": 32, "num_epochs": 2}
REPLAYED: dict[str, Any] = {
    "rollout_fragment_length": 16,
    "gradient_steps": 3,
    "rollouts_per_iteration": 2,
    "batch_size": 16,
    "learning_starts": 256,
    "buffer_size": 300,
    "n_step": 2,
}

RECIPES: dict[str, RLlibRecipe] = {
    "PPO": PPORecipe(**SHORT, **SAMPLED),
    "APPO": APPORecipe(**SHORT, **SAMPLED, target_network_update_freq=2),
    "IMPALA": IMPALARecipe(**SHORT, **SAMPLED),
    "SAC": SACRecipe(**SHORT, **REPLAYED),
    "TQC": TQCRecipe(**SHORT, **REPLAYED, n_quantiles=5),
    "PPOConfig": OtherRecipe(
        **SHORT,
        algorithm="PPOConfig",
        rollout_fragment_length=16,
        settings={"lr": 1e-3, "train_batch_size_per_learner": 64, "minibatch_size": 32, "num_epochs": 2},
    ),
}


def learner_of(algorithm: Any) -> Any:
    return algorithm.learner_group._learner
