"""The recipes that ship with mosim, by how much a simulator is told of its robot: one a system, and general ones.

At the top are those of the `tree` level, in folders those of the others; see `mosim.models.config.Knowledge`.
"""

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from mosim.core.configuration import read_yaml_model
from mosim.core.errors import UnknownNameError
from mosim.training.recipe import Recipe

_GENERAL = "general"
_LEVELS = ("arrays", "geometry")
"""Folders of recipes that know less than those at the top."""

_FILE_ENDINGS = (".yaml", ".yml")


def recipe_names() -> tuple[str, ...]:
    """The names of the shipped recipes, such as `reacher`, `geometry/reacher` and `arrays/general`."""
    folders = {"": _folder(), **{f"{level}/": _folder() / level for level in _LEVELS}}
    return tuple(
        sorted(
            prefix + file.name.removesuffix(".yaml")
            for prefix, folder in folders.items()
            for file in folder.iterdir()
            if file.name.endswith(".yaml")
        )
    )


class NamedRecipe(NamedTuple):
    """A recipe; and in words which, at which level, and why: `reacher (tree), which mosim ships for a system ...`."""

    recipe: Recipe
    origin: str


def find_recipe(system: str, recipe: str | Path | None = None) -> NamedRecipe:
    """Reads the recipe that is asked for, or else the shipped one of a system, or else the general one.

    Args:
      system: a system's name, such as `reacher`.
      recipe: the path of a YAML file; or `geometry` or `arrays`, for the system's recipe of that level, or else the
        level's general one; or the name of a shipped recipe, such as `general` or `geometry/large`.

    Raises:
      MosimError: the file is missing or wrong; names it, the key, and what is allowed.
      UnknownNameError: no recipe of that name ships; lists those that do.
    """
    if recipe is not None and str(recipe).endswith(_FILE_ENDINGS):
        return _named(read_yaml_model(Path(recipe), Recipe), f"the file {recipe}", "as requested")
    names = recipe_names()
    asked = "" if recipe is None else str(recipe)
    if asked in names:
        name, reason = asked, "which mosim ships, as requested"
    elif recipe is None or asked in _LEVELS:
        folder, level = (f"{asked}/", " at the requested knowledge level") if asked else ("", "")
        name, reason = f"{folder}{system}", f"which mosim ships for a system of this name{level}"
        if name not in names:
            name, reason = f"{folder}{_GENERAL}", f"since mosim ships none for a system named {system}{level}"
    else:
        raise UnknownNameError.among("recipe", asked, (*_LEVELS, *names))
    with as_file(_folder() / f"{name}.yaml") as path:
        return _named(read_yaml_model(path, Recipe), name, reason)


def load_recipe(system: str, recipe: str | Path | None = None) -> Recipe:
    """The recipe of `find_recipe`."""
    return find_recipe(system, recipe).recipe


def _named(recipe: Recipe, name: str, reason: str) -> NamedRecipe:
    return NamedRecipe(recipe, f"{name} ({recipe.model.knowledge}), {reason}")


def _folder() -> Traversable:
    return files("mosim") / "recipes" / "simulators"
