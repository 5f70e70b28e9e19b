"""Policies: training them in a simulator or in the true task, their returns, and policies as files of their own."""

from typing import TYPE_CHECKING

from mosim.agents.algorithms import (
    ALGORITHMS,
    find_policy_recipe,
    load_policy_recipe,
    recipe_class,
    require_import_allowed,
)
from mosim.agents.divergences import COUNTS_FILE, DIVERGENCES_FILE, DivergenceCounts, read_divergences
from mosim.agents.gradients import SHACRecipe
from mosim.agents.learner import PolicyLearner, TrainingSetup, Update
from mosim.agents.planning import (
    DistillationConfig,
    Planner,
    PlannerConfig,
    PlannerEvaluation,
    PlannerKind,
    distil,
    evaluate_planner,
    planned_episode,
)
from mosim.agents.policy import Policy, PolicyFacts, load_policy, save_policy
from mosim.agents.policy_evaluation import (
    EVAL_SEED,
    PolicyEvaluation,
    episode_actions,
    evaluate_policy,
    random_return,
)
from mosim.agents.progress import POLICY_FOLDER, PolicyProgress, PolicyResult
from mosim.agents.recipe import PolicyRecipe
from mosim.agents.returns import RETURNS_FILE, ReturnRow, read_returns
from mosim.agents.rllib.algorithms import APPORecipe, IMPALARecipe, OtherRecipe, PPORecipe, SACRecipe, TQCRecipe
from mosim.agents.rllib.recipe import RLlibRecipe
from mosim.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from mosim.agents.film import PolicyEpisode, film_episode, film_policy, true_episode
    from mosim.agents.onnx_file import write_onnx
    from mosim.agents.plots import plot_returns
    from mosim.agents.side_by_side import PolicyJob, PolicyTrainer, train_side_by_side
    from mosim.agents.training import train_policy

__all__ = [
    "ALGORITHMS",
    "COUNTS_FILE",
    "DIVERGENCES_FILE",
    "EVAL_SEED",
    "POLICY_FOLDER",
    "RETURNS_FILE",
    "APPORecipe",
    "DistillationConfig",
    "DivergenceCounts",
    "IMPALARecipe",
    "OtherRecipe",
    "PPORecipe",
    "Planner",
    "PlannerConfig",
    "PlannerEvaluation",
    "PlannerKind",
    "Policy",
    "PolicyEpisode",
    "PolicyEvaluation",
    "PolicyFacts",
    "PolicyJob",
    "PolicyLearner",
    "PolicyProgress",
    "PolicyRecipe",
    "PolicyResult",
    "PolicyTrainer",
    "RLlibRecipe",
    "ReturnRow",
    "SACRecipe",
    "SHACRecipe",
    "TQCRecipe",
    "TrainingSetup",
    "Update",
    "distil",
    "episode_actions",
    "evaluate_planner",
    "evaluate_policy",
    "film_episode",
    "film_policy",
    "find_policy_recipe",
    "load_policy",
    "load_policy_recipe",
    "planned_episode",
    "plot_returns",
    "random_return",
    "read_divergences",
    "read_returns",
    "recipe_class",
    "require_import_allowed",
    "save_policy",
    "train_policy",
    "train_side_by_side",
    "true_episode",
    "write_onnx",
]

# RLlib and matplotlib take seconds to import, and a loaded policy has no need of them.
__getattr__ = lazy_names(
    __name__,
    {
        "PolicyJob": "side_by_side",
        "PolicyTrainer": "side_by_side",
        "PolicyEpisode": "film",
        "film_episode": "film",
        "film_policy": "film",
        "plot_returns": "plots",
        "true_episode": "film",
        "write_onnx": "onnx_file",
        "train_policy": "training",
        "train_side_by_side": "side_by_side",
    },
)
