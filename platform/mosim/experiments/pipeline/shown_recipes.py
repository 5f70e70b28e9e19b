"""The first line of every training: which recipe it uses, from where, why, and what of it was changed."""

from pydantic import BaseModel

from mosim.core.run_identity import differences
from mosim.training import Recipe

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


def _level(recipe: BaseModel) -> dict[str, str]:
    """What a changed model may know more or less of."""
    return {"knowledge": recipe.model.knowledge} if isinstance(recipe, Recipe) else {}
