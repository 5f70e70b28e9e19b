"""A training of each algorithm that takes a second or two, with every part of a long one."""

from typing import Any

from mosim.agents import APPORecipe, IMPALARecipe, OtherRecipe, PolicyRecipe, PPORecipe, SACRecipe, TQCRecipe

TASK = "reacher-easy"

SHORT: dict[str, Any] = {
    "control_steps": 1400,
    "num_envs": 4,
    "hidden": (8, 6),
    "horizon": 100,
    "judge_every": 512,
    "judge_episodes": 2,
    "checkpoint_every": 256,
}
SAMPLED: dict[str, Any] = {"fragment": 16, "minibatch": 32, "epochs": 2}
REPLAYED: dict[str, Any] = {
    "fragment": 16,
    "updates": 3,
    "rounds": 2,
    "batch_size": 16,
    "warm_up": 256,
    "replay_capacity": 300,
    "n_step": 2,
}

RECIPES: dict[str, PolicyRecipe] = {
    "PPO": PPORecipe(**SHORT, **SAMPLED),
    "APPO": APPORecipe(**SHORT, **SAMPLED, copy_every=2),
    "IMPALA": IMPALARecipe(**SHORT, **SAMPLED),
    "SAC": SACRecipe(**SHORT, **REPLAYED),
    "TQC": TQCRecipe(**SHORT, **REPLAYED, quantiles=5),
    "PPOConfig": OtherRecipe(
        **SHORT,
        algorithm="PPOConfig",
        fragment=16,
        settings={"lr": 1e-3, "train_batch_size_per_learner": 64, "minibatch_size": 32, "num_epochs": 2},
    ),
}


def learner_of(algorithm: Any) -> Any:
    return algorithm.learner_group._learner
