"""The staged training of neural simulators, and their checkpoints."""

from mosim.training.checkpoint import Checkpoint, find_checkpoint, load_simulator, read_checkpoint
from mosim.training.data import TrainingData
from mosim.training.data_parallel import train_data_parallel
from mosim.training.recipe import OptimizerName, Recipe, StageConfig, run_identity
from mosim.training.recipes import NamedRecipe, find_recipe, load_recipe, recipe_names
from mosim.training.replicas import Replicas
from mosim.training.report import Report
from mosim.training.trainer import Trainer

__all__ = [
    "Checkpoint",
    "NamedRecipe",
    "OptimizerName",
    "Recipe",
    "Replicas",
    "Report",
    "StageConfig",
    "Trainer",
    "TrainingData",
    "find_checkpoint",
    "find_recipe",
    "load_recipe",
    "load_simulator",
    "read_checkpoint",
    "recipe_names",
    "run_identity",
    "train_data_parallel",
]
