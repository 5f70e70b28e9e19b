"""The staged training of neural simulators, and their checkpoints."""

from mosim.training.checkpoint import Checkpoint, find_checkpoint, load_simulator, read_checkpoint
from mosim.training.recipe import Recipe, StageConfig, part_names
from mosim.training.recipes import load_recipe, recipe_names
from mosim.training.trainer import Report, Trainer

__all__ = [
    "Checkpoint",
    "Recipe",
    "Report",
    "StageConfig",
    "Trainer",
    "find_checkpoint",
    "load_recipe",
    "load_simulator",
    "part_names",
    "read_checkpoint",
    "recipe_names",
]
