"""What a study comes to: every run with its recipe, checked before the first of them starts."""

from pathlib import Path
from typing import NamedTuple

from mosim.core.configuration import with_values
from mosim.core.errors import MosimError
from mosim.experiments.study.config import Study, SystemRuns, Variant
from mosim.robots import System, is_file
from mosim.tasks import load_system
from mosim.training import NamedRecipe, Recipe, find_recipe

_FILE_ENDINGS = (".yaml", ".yml")


class PlannedSystem(NamedTuple):
    """A system of the study: its `name` in folders and tables, and what it is."""

    name: str
    system: System


class PlannedRun(NamedTuple):
    """One training.

    Attributes:
      system, variant: their names.
      seed: of the training.
      recipe: with the variant's changes, that seed and the budget.
      origin: which recipe that is and why, in words.
      episodes: that it is trained on.
    """

    system: str
    variant: Variant
    seed: int
    recipe: Recipe
    origin: str
    episodes: int

    @property
    def name(self) -> str:
        """Such as `reacher-easy/staged/seed-0`: its folder, and what `--only` looks into."""
        return f"{self.system}/{self.variant.folder}/seed-{self.seed}"


class Plan(NamedTuple):
    """Every system and every run of a study, in its order."""

    study: Study
    systems: tuple[PlannedSystem, ...]
    runs: tuple[PlannedRun, ...]

    def only(self, *parts: str) -> "Plan":
        """The runs whose names hold all `parts`, and their systems.

        Raises:
          MosimError: no run's name does; lists the names.
        """
        runs = tuple(run for run in self.runs if all(part in run.name for part in parts))
        if not runs:
            wanted_parts, names = " and ".join(map(repr, parts)), ", ".join(run.name for run in self.runs)
            raise MosimError(f"no run of study {self.study.name} has {wanted_parts} in its name; available: {names}.")
        wanted = {run.system for run in runs}
        return self._replace(systems=tuple(each for each in self.systems if each.name in wanted), runs=runs)


def plan_study(study: Study, file: Path) -> Plan:
    """Loads every system, and makes and checks the recipe of every run.

    Args:
      study: from `read_study`.
      file: where it was read; its paths are beside it, and mistakes name it.

    Raises:
      MosimError: a system does not load, or a recipe is missing or not valid; names what exists.
    """
    systems, runs = [], []
    for entry in study.systems:
        planned = PlannedSystem(entry.name, load_system(_source(entry, file)))
        systems.append(planned)
        for variant in study.trained_variants:
            recipe, origin = _recipe(study, entry, variant, planned.system.facts.name, file)
            runs += [
                PlannedRun(
                    system=entry.name,
                    variant=variant,
                    seed=seed,
                    recipe=recipe.model_copy(update={"seed": seed}),
                    origin=origin,
                    episodes=recipe.episodes or study.data.episodes,
                )
                for seed in entry.seeds or study.seeds
            ]
    return Plan(study, tuple(systems), tuple(runs))


def _source(entry: SystemRuns, file: Path) -> str:
    return str(file.parent / entry.task) if is_file(entry.task) else entry.task


def _recipe(study: Study, entry: SystemRuns, variant: Variant, system: str, file: Path) -> NamedRecipe:
    where = f"{file}: variant {variant.name!r} on {entry.name}"
    named = _named_recipe(variant.recipe or study.recipe, system, file)
    recipe = with_values(named.recipe, variant.set, where)
    minutes = entry.minutes or study.minutes
    try:
        recipe = recipe if minutes is None else recipe.within(minutes)
    except ValueError as error:
        raise MosimError(f"{where}: {error}.") from None
    if long := [stage for stage in recipe.stages if stage.horizon > study.data.steps]:
        raise MosimError(
            f"{where}: stage {long[0].name!r} has horizon {long[0].horizon}, but episodes have {study.data.steps} "
            "steps."
        )
    if (recipe.episodes or 1) > study.data.episodes:
        raise MosimError(
            f"{where}: {recipe.episodes} episodes are requested for training, but {study.data.episodes} are collected."
        )
    return NamedRecipe(recipe, named.origin)


def _named_recipe(name: str | None, system: str, file: Path) -> NamedRecipe:
    if name is None:
        return find_recipe(system)
    if name.endswith(_FILE_ENDINGS):
        return find_recipe(system, file.parent / name)
    return find_recipe(system, name)
