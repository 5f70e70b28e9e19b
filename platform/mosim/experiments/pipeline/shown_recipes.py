"""The first line of every training: which recipe it uses, from where, why, and what of it was changed."""

from pydantic import BaseModel

from mosim.agents import find_policy_recipe
from mosim.core.console import console
from mosim.core.run_identity import differences
from mosim.experiments.pipeline.run_settings import SharedSettings
from mosim.tasks import Task
from mosim.training import Recipe, find_recipe

_SHOWN = 4
"""Changes, at most."""


def recipe_line(label: str, origin: str, recipe: BaseModel, used: BaseModel) -> str:
    """Such as `recipe: reacher (tree), which mosim ships for a system of this name; changed: seed was 0 and is 3`.

    Args:
      label: what it is the recipe of.
      origin: which recipe it is and why, see `mosim.training.NamedRecipe`.
      recipe: as it was found.
      used: as flags have changed it.
    """
    changes = differences(_level(recipe), _level(used))
    changes += differences(recipe.model_dump(mode="json"), used.model_dump(mode="json"))
    more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return f"{label}: {origin}{'; changed: ' if changes else ''}{'; '.join(changes[:_SHOWN])}{more}"


def show_recipes(settings: SharedSettings, task: Task) -> None:
    """Prints the lines of a run's two recipes."""
    named = find_recipe(task.facts.name, settings.simulator_recipe)
    console.print(recipe_line("simulator recipe", named.origin, named.recipe, settings.used_simulator))
    policy, imports = settings.used_policy, settings.allow_imports
    chosen = find_policy_recipe(task.name, settings.policy_recipe, policy.algorithm, allow_imports=imports)
    console.print(recipe_line("policy recipe", chosen.origin, chosen.recipe, policy))


def _level(recipe: BaseModel) -> dict[str, str]:
    """What a changed model may know more or less of."""
    return {"knowledge": recipe.model.knowledge} if isinstance(recipe, Recipe) else {}
