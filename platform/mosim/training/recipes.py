"""The recipes that ship with mosim: one a system, and a general one for the rest."""

from importlib.resources import as_file, files
from pathlib import Path

from mosim.configuration import read_yaml_model
from mosim.training.recipe import Recipe

_GENERAL = "general"


def load_recipe(system: str, file: Path | None = None) -> Recipe:
    """Reads the recipe in `file`, or else the shipped one of a system, or else the general one.

    Args:
      system: a system's name, such as `reacher`.
      file: a YAML file of a user's own.

    Raises:
      MosimError: the file is missing or wrong; names it, the key, and what is allowed.
    """
    if file is not None:
        return read_yaml_model(file, Recipe)
    folder = files("mosim") / "recipes" / "simulators"
    shipped = folder / f"{system}.yaml"
    with as_file(shipped if shipped.is_file() else folder / f"{_GENERAL}.yaml") as path:
        return read_yaml_model(path, Recipe)
