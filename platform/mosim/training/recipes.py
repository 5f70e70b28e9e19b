"""The recipes that ship with mosim: one a system, a general one for the rest, and a large one for a GPU."""

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from mosim.configuration import read_yaml_model
from mosim.errors import UnknownNameError
from mosim.training.recipe import Recipe

_GENERAL = "general"
_FILE_ENDINGS = (".yaml", ".yml")


def recipe_names() -> tuple[str, ...]:
    """The names of the shipped recipes."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _folder().iterdir() if file.name.endswith(".yaml")))


class NamedRecipe(NamedTuple):
    """A recipe, and in words which one it is and why: `reacher, which mosim ships for a system of this name`."""

    recipe: Recipe
    origin: str


def find_recipe(system: str, recipe: str | Path | None = None) -> NamedRecipe:
    """Reads the recipe that is asked for, or else the shipped one of a system, or else the general one.

    Args:
      system: a system's name, such as `reacher`.
      recipe: the path of a YAML file, or the name of a shipped recipe, such as `large`.

    Raises:
      MosimError: the file is missing or wrong; names it, the key, and what is allowed.
      UnknownNameError: no recipe of that name ships; lists those that do.
    """
    if recipe is not None and str(recipe).endswith(_FILE_ENDINGS):
        return NamedRecipe(read_yaml_model(Path(recipe), Recipe), f"the file {recipe}, as asked for")
    names = recipe_names()
    if recipe is not None and str(recipe) not in names:
        raise UnknownNameError.among("recipe", str(recipe), names)
    if recipe is not None:
        name, reason = str(recipe), "which mosim ships, as asked for"
    elif system in names:
        name, reason = system, "which mosim ships for a system of this name"
    else:
        name, reason = _GENERAL, f"since mosim ships none for a system named {system}"
    with as_file(_folder() / f"{name}.yaml") as path:
        return NamedRecipe(read_yaml_model(path, Recipe), f"{name}, {reason}")


def load_recipe(system: str, recipe: str | Path | None = None) -> Recipe:
    """The recipe of `find_recipe`."""
    return find_recipe(system, recipe).recipe


def _folder() -> Traversable:
    return files("mosim") / "recipes" / "simulators"
