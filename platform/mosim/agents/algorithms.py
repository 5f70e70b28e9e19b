"""The algorithms by name, and the recipe of each for a task."""

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from mosim.agents.gradients import SHACRecipe
from mosim.agents.recipe import PolicyRecipe
from mosim.agents.rllib.algorithms import APPORecipe, IMPALARecipe, OtherRecipe, PPORecipe, SACRecipe, TQCRecipe
from mosim.core.configuration import read_yaml_file, read_yaml_model, validate
from mosim.core.errors import MosimError

ALGORITHMS: dict[str, type[PolicyRecipe]] = {
    "PPO": PPORecipe,
    "APPO": APPORecipe,
    "IMPALA": IMPALARecipe,
    "SAC": SACRecipe,
    "TQC": TQCRecipe,
    "SHAC": SHACRecipe,
}
"""The recipe of each algorithm that has one of its own."""

_RECIPES = "recipes/policies"
_DEFAULT = "default.yaml"
_FIRST = "PPO"


def recipe_class(algorithm: str) -> type[PolicyRecipe]:
    """The kind of recipe that an algorithm has, by its name in any case, or the name of its config class.

    Raises:
      MosimError: there is no such algorithm; says what is allowed.
    """
    if found := ALGORITHMS.get(algorithm.upper()):
        return found
    if algorithm.endswith("Config") or ":" in algorithm:
        return OtherRecipe
    names = ", ".join(name.lower() for name in ALGORITHMS)
    raise MosimError(
        f"unknown algorithm {algorithm!r}; allowed are: {names}, the name of an RLlib config class, such as "
        "MARWILConfig, or package.module:Class."
    )


class NamedPolicyRecipe(NamedTuple):
    """A recipe, and in words which one it is and why: `sac for reacher-easy, which mosim ships for this task`."""

    recipe: PolicyRecipe
    origin: str


def find_policy_recipe(
    task_name: str, file: Path | None = None, algorithm: str | None = None, *, allow_imports: bool = False
) -> NamedPolicyRecipe:
    """Reads the recipe in `file`, or else the one shipped for a task and an algorithm, or else the algorithm's default.

    Args:
      task_name: such as `reacher-easy`.
      file: of a recipe, whose key `algorithm` says whose it is.
      algorithm: see `recipe_class`; None for the file's, or else PPO. A module that it names is imported.
      allow_imports: import a module that the file names and `algorithm` does not.

    Raises:
      MosimError: the file is missing or wrong, or of another algorithm, or names a module that it may not; names the
        file, the key and what is allowed.
    """
    if file is not None:
        return NamedPolicyRecipe(_from_file(file, algorithm, allow_imports), f"the file {file}, as requested")
    kind = recipe_class(algorithm or _FIRST)
    if kind is OtherRecipe:
        recipe = validate({"algorithm": algorithm}, kind, "algorithm")
        recipe.check()
        return NamedPolicyRecipe(recipe, f"{algorithm} with RLlib's default settings")
    name = kind.model_fields["algorithm"].default.lower()
    with resources.as_file(resources.files("mosim") / _RECIPES) as folder:
        own = folder if kind is ALGORITHMS[_FIRST] else folder / name
        shipped = own / f"{task_name}.yaml"
        if shipped.is_file():
            origin = f"{name} for {task_name}, which mosim ships for this task"
            return NamedPolicyRecipe(read_yaml_model(shipped, kind), origin)
        origin = f"the default recipe of {name}, since mosim ships none for {task_name}"
        return NamedPolicyRecipe(read_yaml_model(own / _DEFAULT, kind), origin)


def load_policy_recipe(
    task_name: str, file: Path | None = None, algorithm: str | None = None, *, allow_imports: bool = False
) -> PolicyRecipe:
    """The recipe of `find_policy_recipe`."""
    return find_policy_recipe(task_name, file, algorithm, allow_imports=allow_imports).recipe


def require_import_allowed(algorithm: str, allowed: bool, place: str) -> None:
    """Refuses an algorithm that a file names by a module of its own, whose code would run.

    Args:
      algorithm: as the file names it.
      allowed: whether the user has asked for it.
      place: in the file, such as `recipe.yaml, line 1`.

    Raises:
      MosimError: the module must not be imported.
    """
    if ":" in algorithm and not allowed:
        raise MosimError(
            f"{place}: the recipe names {algorithm!r}, and importing it would run the code of its module; add "
            "--allow-imports if you trust it."
        )


def _from_file(file: Path, algorithm: str | None, allow_imports: bool) -> PolicyRecipe:
    yaml = read_yaml_file(file)
    named = yaml.values.get("algorithm", algorithm or _FIRST)
    if not isinstance(named, str):
        raise MosimError(f"{yaml.place(('algorithm',))}: key 'algorithm' is {named!r}; it must be a name.")
    try:
        kind = recipe_class(named)
    except MosimError as error:
        raise MosimError(f"{yaml.place(('algorithm',))}: key 'algorithm': {error}") from None
    if algorithm is not None and (recipe_class(algorithm) is not kind or (kind is OtherRecipe and named != algorithm)):
        raise MosimError(f"{yaml.place(('algorithm',))}: the recipe is for {named}, but {algorithm} was requested.")
    require_import_allowed(named, allow_imports or named == algorithm, yaml.place(("algorithm",)))
    if kind is OtherRecipe and "algorithm" not in yaml.values:
        recipe = validate({"algorithm": named, **yaml.values}, kind, str(file))
    else:
        recipe = read_yaml_model(file, kind)
    try:
        recipe.check()
    except MosimError as error:
        raise MosimError(f"{file}: {error}") from None
    return recipe
