"""What a sweep comes to: its system, its data and the recipe of every trial, checked before the first one starts."""

import contextlib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from mosim.agents import PolicyRecipe, find_policy_recipe, require_import_allowed
from mosim.core.configuration import Location, YamlFile, read_yaml_file, with_values
from mosim.core.errors import MosimError
from mosim.data import Dataset
from mosim.envs import find_dataset
from mosim.experiments.sweep.config import Sweep
from mosim.experiments.sweep.dimensions import Scalar
from mosim.experiments.sweep.space import Draw, Space
from mosim.experiments.sweep.strategies import Pbt
from mosim.robots import SystemFacts, is_file, require_fit
from mosim.tasks import load_system, load_task
from mosim.training import Recipe, find_checkpoint, find_recipe, read_checkpoint

_SAMPLED_DRAWS = 64
"""Draws that are checked of a space whose trials are not drawn before the first starts."""

_RECIPE_ENDINGS = (".yaml", ".yml")

AnyRecipe = TypeVar("AnyRecipe", Recipe, PolicyRecipe)


@dataclass(frozen=True)
class SweepPlan(ABC):
    """A sweep with everything found that it names; it pickles.

    Attributes:
      sweep: as its file says.
      file: that file.
      source: what `mosim.tasks.load_system` takes.
      facts: of the system.
      places: where values of the recipe are given, such as `sweep.yaml, line 3`, by the keys that lead to them; by no
        key, the file alone.
      base: the recipe that trials change.
      origin: which recipe that is and why, in words.
    """

    sweep: Sweep
    file: Path
    source: str
    facts: SystemFacts
    places: Mapping[Location, str]
    base: Recipe | PolicyRecipe
    origin: str

    @property
    def space(self) -> Space:
        """What is searched."""
        return Space(self.sweep.space)

    @property
    @abstractmethod
    def trained_on(self) -> str:
        """What tells the data, or the simulator, that trials are trained on from others."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the sweep's results, for `mosim.core.run_identity`; files count by what they hold."""
        return {
            "sweep": self.sweep.model_dump(mode="json", exclude={"recipe": True, "simulator": True, "data": {"path"}}),
            "recipe": self.base.model_dump(mode="json"),
            "trained_on": self.trained_on,
        }

    @abstractmethod
    def recipe(self, draw: Mapping[str, Scalar], seed: int) -> Recipe | PolicyRecipe:
        """The recipe of a trial under one of its seeds.

        Raises:
          MosimError: the draw makes no valid recipe; names the sweep's file, the line and the draw.
        """

    @abstractmethod
    def full_recipe(self, draw: Mapping[str, Scalar], seed: int) -> Recipe | PolicyRecipe:
        """As `recipe`, but as long as the base recipe says, and not as the sweep does."""

    def draws(self) -> list[Draw]:
        """Every trial of a random search."""
        return self.space.draws(self.sweep.draw_count, self.sweep.seed)

    @property
    def trial_count(self) -> int:
        """How many trials there will be."""
        return len(self.draws()) if self.sweep.search.kind == "random" else self.sweep.draw_count

    def check(self) -> None:
        """Makes the recipe of every trial, or, where they are drawn later or mutate, of a sample that has every option.

        Raises:
          MosimError: as `recipe`.
        """
        known = self.sweep.search.kind == "random" and not isinstance(self.sweep.scheduler, Pbt)
        draws = self.draws() if known else self.space.samples(_SAMPLED_DRAWS, self.sweep.seed)
        for draw in draws:
            self.recipe(draw, self.sweep.seeds[0])

    def _changed(self, base: AnyRecipe, draw: Mapping[str, Scalar], seed: int) -> AnyRecipe:
        """The base recipe with the sweep's fixed changes, those of a draw, and a seed."""
        drawn = self.space.changes(draw)
        fixed = {name: value for name, value in self.sweep.set.items() if name not in drawn}
        with self._told_of(draw):
            changed = with_values(base, fixed | drawn, self.places[()], self._places_of(draw))
        return changed.model_copy(update={"seed": seed})

    def _places_of(self, draw: Mapping[str, Scalar]) -> dict[str, str]:
        """Where the sweep's file gives the values that a draw changes, by their dotted names in the recipe."""
        places = {name: self.places[("set", name)] for name in self.sweep.set}
        return places | {name: self.places[("space", *origin)] for name, origin in self.space.origins(draw).items()}

    @contextlib.contextmanager
    def _told_of(self, draw: Mapping[str, Scalar]) -> Iterator[None]:
        try:
            yield
        except MosimError as error:
            settings = ", ".join(f"{name}={json.dumps(value)}" for name, value in draw.items())
            raise MosimError(f"{error} This occurs in the trial {settings}.") from None


@dataclass(frozen=True)
class SimulatorPlan(SweepPlan):
    """A sweep that trains simulators.

    Attributes:
      dataset: the path or URI of the data; None for data to be collected.
      steps: physics steps of an episode; None where episodes differ.
    """

    base: Recipe
    dataset: str | None
    steps: int | None

    @property
    def trained_on(self) -> str:
        """See `SweepPlan`: a dataset, or the system whose data are collected as the sweep says."""
        if self.dataset is not None:
            return f"dataset {Dataset.open(self.dataset).id}"
        return f"system {hashlib.sha256(_canonical(self.facts.model_dump(mode='json')).encode()).hexdigest()[:12]}"

    def recipe(self, draw: Mapping[str, Scalar], seed: int) -> Recipe:
        """See `SweepPlan`; it lasts as long as the sweep says."""
        recipe = self._changed(self.base, draw, seed)
        with self._told_of(draw):
            longest = max(recipe.stages, key=lambda stage: stage.horizon)
            if self.steps is not None and longest.horizon > self.steps:
                raise MosimError(
                    f"{self.places['data',]}: key 'data': episodes have {self.steps} steps, but stage "
                    f"{longest.name!r} has a horizon of {longest.horizon}."
                )
            if self.sweep.minutes is None:
                return recipe
            try:
                return recipe.within(self.sweep.minutes)
            except ValueError as error:
                raise MosimError(f"{self.places['minutes',]}: key 'minutes': {error}.") from None

    def full_recipe(self, draw: Mapping[str, Scalar], seed: int) -> Recipe:
        """See `SweepPlan`."""
        return self._changed(self.base, draw, seed)

    def architecture(self, draw: Mapping[str, Scalar]) -> str:
        """The same for draws whose trials can take over one another's weights and moments."""
        recipe = self.recipe(draw, self.sweep.seeds[0])
        stages = [(stage.learns, stage.optimizer) for stage in recipe.stages]
        return _canonical([recipe.model.model_dump(mode="json"), stages])

    def predictor_key(self, recipe: Recipe, dataset_id: str) -> tuple[int, str] | None:
        """What tells whether two trainings pass through the same predictor, before any corrector learns.

        Args:
          recipe: of a trial, under one seed.
          dataset_id: of the data.

        Returns:
          How many leading stages train that predictor, and a digest of all that it depends on; None where there are no
          such stages, or none after them.
        """
        first = next((index for index, stage in enumerate(recipe.stages) if _learns_corrector(stage.learns)), 0)
        if not any("predictor" in stage.learns for stage in recipe.stages[:first]):
            return None
        content = {
            "model": recipe.model.model_dump(mode="json", exclude={"correctors"}),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages[:first]],
            "seed": recipe.seed,
            "episodes": recipe.episodes,
            "validation_fraction": recipe.validation_fraction,
            "dataset": dataset_id,
            "facts": self.facts.model_dump(mode="json"),
            "versions": {package: version(package) for package in ("mosim", "torch")},
        }
        return first, hashlib.sha256(_canonical(content).encode()).hexdigest()


@dataclass(frozen=True)
class PolicyPlan(SweepPlan):
    """A sweep that trains policies in one simulator.

    Attributes:
      simulator: the absolute path of its checkpoint.
      data: the path or URI of data to start episodes from; None where there are none.
      allow_imports: whether modules that the sweep's file and its recipe name may be imported.
    """

    base: PolicyRecipe
    simulator: Path
    data: str | None
    allow_imports: bool

    @property
    def trained_on(self) -> str:
        """See `SweepPlan`: the simulator's weights."""
        return f"simulator {read_checkpoint(self.simulator).id}"

    def recipe(self, draw: Mapping[str, Scalar], seed: int) -> PolicyRecipe:
        """See `SweepPlan`."""
        recipe = self._changed(self.base, draw, seed)
        place = self._places_of(draw).get("algorithm", self.places[()])
        require_import_allowed(recipe.algorithm, self.allow_imports, place)
        with self._told_of(draw):
            recipe.check()
        if recipe.start != "initial" and self.data is None:
            with self._told_of(draw):
                raise MosimError(
                    f"{self.places['simulator',]}: key 'simulator': start is {recipe.start}, but the data that the "
                    "simulator was trained on were not found beside it; give data.path."
                )
        return recipe

    full_recipe = recipe


def plan_sweep(sweep: Sweep, file: Path, *, allow_imports: bool = False) -> SimulatorPlan | PolicyPlan:
    """Finds what a sweep names.

    Args:
      sweep: from `read_sweep`.
      file: where it was read; its paths are beside it, and mistakes name it.
      allow_imports: import modules that the sweep names as its task, or it or its recipe as a policy's algorithm.

    Raises:
      MosimError: the system does not load, or a recipe, a dataset or a simulator is missing or does not fit; names the
        file, the line and the key.
    """
    yaml = read_yaml_file(file)
    with _said_of(yaml, "task"):
        beside = is_file(sweep.task)
        system = load_system(str(file.parent / sweep.task) if beside else sweep.task, allow_imports=allow_imports)
    common = {
        "sweep": sweep,
        "file": file.absolute(),
        "source": system.source,
        "facts": system.facts,
        "places": _places(sweep, yaml),
    }
    if sweep.trains == "policy":
        algorithm = str(sweep.set["algorithm"]) if "algorithm" in sweep.set else None
        require_import_allowed(algorithm or "", allow_imports, yaml.place(("set", "algorithm")))
        with _said_of(yaml, "recipe"):
            policy_recipe, origin = find_policy_recipe(
                sweep.task, _policy_recipe_file(sweep, file), algorithm, allow_imports=allow_imports
            )
        simulator = _simulator(sweep, yaml, allow_imports)
        if (starts := _dataset(sweep, system.facts, yaml)) is None:
            with contextlib.suppress(MosimError):  # Not every trial needs them.
                starts = find_dataset(simulator)
        data = None if starts is None else starts.uri
        return PolicyPlan(
            **common,
            base=policy_recipe,
            origin=origin,
            simulator=simulator,
            data=data,
            allow_imports=allow_imports,
        )
    with _said_of(yaml, "recipe"):
        named = sweep.recipe is not None and sweep.recipe.endswith(_RECIPE_ENDINGS)
        recipe, origin = find_recipe(system.facts.name, file.parent / str(sweep.recipe) if named else sweep.recipe)
    dataset = _dataset(sweep, system.facts, yaml)
    uri, steps = (None, sweep.data.steps) if dataset is None else (dataset.uri, dataset.metadata.steps)
    return SimulatorPlan(**common, base=recipe, origin=origin, dataset=uri, steps=steps)


def _policy_recipe_file(sweep: Sweep, file: Path) -> Path | None:
    if sweep.recipe is not None and not sweep.recipe.endswith(_RECIPE_ENDINGS):
        raise MosimError("the recipe of a policy must be a YAML file; if omitted, it is the task's own recipe.")
    return None if sweep.recipe is None else file.parent / sweep.recipe


def _simulator(sweep: Sweep, yaml: YamlFile, allow_imports: bool) -> Path:
    with _said_of(yaml, "task"):
        task = load_task(sweep.task, allow_imports=allow_imports)
    with _said_of(yaml, "simulator"):
        checkpoint = read_checkpoint(find_checkpoint(str(sweep.simulator)))
        require_fit(checkpoint.facts, task.facts, f"a simulator of {checkpoint.facts.name}", task.name)
    return checkpoint.path.absolute()


def _dataset(sweep: Sweep, facts: SystemFacts, yaml: YamlFile) -> Dataset | None:
    """The data, if they are not to be collected."""
    if (path := sweep.data.path) is None:
        return None
    with _said_of(yaml, "data", "path"):
        dataset = Dataset.open(path if "://" in path else yaml.path.parent / path)
        require_fit(dataset.facts, facts, "the dataset")
        if not dataset.metadata.complete:
            command = dataset.metadata.command(dataset.uri)
            raise MosimError(f"the dataset at {dataset.uri} is incomplete; continue with: {command}")
    return dataset


def _places(sweep: Sweep, yaml: YamlFile) -> dict[Location, str]:
    """Where everything stands that recipes take from the sweep."""
    locations: list[Location] = [(), ("data",), ("minutes",), ("simulator",), *(("set", name) for name in sweep.set)]
    for name, dimension in sweep.space.items():
        locations.append(("space", name, dimension.kind_name))
        changes = dimension.options.root if dimension.options else ()
        if isinstance(changes, dict):
            locations += [
                ("space", name, dimension.kind_name, label, key) for label, each in changes.items() for key in each
            ]
    return {location: yaml.place(location) for location in locations}


@contextlib.contextmanager
def _said_of(yaml: YamlFile, *location: str) -> Iterator[None]:
    """Has a mistake name the key of the sweep's file that led to it."""
    try:
        yield
    except MosimError as error:
        raise MosimError(f"{yaml.place(location)}: key {'.'.join(location)!r}: {error}") from None


def _learns_corrector(learns: tuple[str, ...]) -> bool:
    return any(part.startswith("corrector/") for part in learns)


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
