"""RLlib: recipes, training in a simulator alone, judging in the true task, and policies that stand by themselves."""

import importlib
from typing import TYPE_CHECKING, Any

from mosim.policies.algorithms import (
    ALGORITHMS,
    APPORecipe,
    IMPALARecipe,
    OtherRecipe,
    PPORecipe,
    SACRecipe,
    TQCRecipe,
    find_policy_recipe,
    load_policy_recipe,
    recipe_class,
    require_import_allowed,
)
from mosim.policies.explosions import COUNTS_FILE, EXPLOSIONS_FILE, ExplosionCounts, read_explosions
from mosim.policies.film import PolicyEpisode, film_policy, true_episode
from mosim.policies.judging import JUDGE_SEED, Judgement, judge, random_return
from mosim.policies.plots import plot_returns
from mosim.policies.policy import Policy, PolicyFacts, load_policy, save_policy
from mosim.policies.progress import POLICY_FOLDER, PolicyProgress, PolicyResult
from mosim.policies.recipe import PolicyRecipe
from mosim.policies.returns import RETURNS_FILE, ReturnRow, read_returns

if TYPE_CHECKING:
    from mosim.policies.side_by_side import PolicyJob, PolicyTrainer, train_side_by_side
    from mosim.policies.training import train_policy

__all__ = [
    "ALGORITHMS",
    "COUNTS_FILE",
    "EXPLOSIONS_FILE",
    "JUDGE_SEED",
    "POLICY_FOLDER",
    "RETURNS_FILE",
    "APPORecipe",
    "ExplosionCounts",
    "IMPALARecipe",
    "Judgement",
    "OtherRecipe",
    "PPORecipe",
    "Policy",
    "PolicyEpisode",
    "PolicyFacts",
    "PolicyJob",
    "PolicyProgress",
    "PolicyRecipe",
    "PolicyResult",
    "PolicyTrainer",
    "ReturnRow",
    "SACRecipe",
    "TQCRecipe",
    "film_policy",
    "find_policy_recipe",
    "judge",
    "load_policy",
    "load_policy_recipe",
    "plot_returns",
    "random_return",
    "read_explosions",
    "read_returns",
    "recipe_class",
    "require_import_allowed",
    "save_policy",
    "train_policy",
    "train_side_by_side",
    "true_episode",
]

_NEED_RAY = {
    "PolicyJob": "side_by_side",
    "PolicyTrainer": "side_by_side",
    "train_policy": "training",
    "train_side_by_side": "side_by_side",
}


def __getattr__(name: str) -> Any:
    # RLlib takes seconds to import, and a loaded policy has no need of it.
    if name in _NEED_RAY:
        return getattr(importlib.import_module(f"mosim.policies.{_NEED_RAY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
