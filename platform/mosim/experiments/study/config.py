"""A study as data: which variants of which recipes are trained on which systems, and what is measured."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from mosim.core.configuration import read_yaml_model
from mosim.core.frozen import Frozen
from mosim.data import StandardData
from mosim.evaluation import STANDARD_HORIZONS
from mosim.robots import label_of

DATA_FOLDER = "data"
"""Of the output folder: the datasets of every system."""


class SystemRuns(Frozen):
    """A system of a study. In YAML its name alone will do."""

    task: str = Field(description="A task as domain-task, or the path of an MJCF file beside the study's file.")
    seeds: tuple[int, ...] | None = Field(default=None, min_length=1, description="Instead of the study's.")
    minutes: float | None = Field(default=None, gt=0, description="Instead of the study's.")

    @property
    def name(self) -> str:
        """What folders and tables call it: `reacher-easy`, and an MJCF file by its stem."""
        return label_of(self.task)


class Variant(Frozen):
    """A recipe to be compared with others."""

    name: str = Field(min_length=1, description="Shown in tables and plots.")
    recipe: str | None = Field(
        default=None,
        description="A YAML file beside the study's file; geometry or arrays, for the system's recipe of that level of "
        "knowledge; or the name of a recipe that mosim ships, such as general. By default the study's, or else the "
        "system's own, of the level tree.",
    )
    set: dict[str, Any] = Field(
        default={}, description="Values of the recipe by dotted name, such as model.correctors.0.inputs: []."
    )

    @property
    def folder(self) -> str:
        """The name as a folder's, letters of any script kept."""
        return re.sub(r"[^\w.]+", "-", self.name.lower()).strip("-.") or "variant"


class Study(Frozen):
    """Systems times variants times seeds, each a training run whose horizon errors are measured."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$", description="Also of the output folder, runs/NAME.")
    systems: tuple[SystemRuns, ...] = Field(min_length=1, description="Names, or mappings with task, seeds, minutes.")
    seeds: tuple[int, ...] = Field(
        default=(0,), min_length=1, description="A training each; they replace the recipe's."
    )
    minutes: float | None = Field(
        default=None, gt=0, description="Wall-clock budget of a training; by default as long as its recipe says."
    )
    recipe: str | None = Field(default=None, description="Of every variant that names none; see there.")
    data: StandardData = Field(default=StandardData(), description="What is collected for each system.")
    episodes: tuple[int, ...] = Field(
        default=(),
        description="Each variant is trained on the first so many of the training episodes, once for each number; by "
        "default on all of them.",
    )
    horizons: tuple[int, ...] = Field(default=STANDARD_HORIZONS, min_length=1, description="Physics steps measured.")
    starts: int = Field(default=400, ge=1, description="Rollouts a horizon; fewer where the episodes hold fewer.")
    variants: tuple[Variant, ...] = Field(
        default=(Variant(name="recipe"),), min_length=1, description="By default one: the recipe as it is."
    )

    @field_validator("systems", mode="before")
    @classmethod
    def _names_alone(cls, systems: Any) -> Any:
        if not isinstance(systems, list | tuple):
            return systems
        return [{"task": system} if isinstance(system, str) else system for system in systems]

    @property
    def trained_variants(self) -> tuple[Variant, ...]:
        """The variants, each for every number of episodes where the study names any: `tree, 3 episodes`."""
        if not self.episodes:
            return self.variants
        return tuple(
            Variant(
                name=f"{variant.name}, {count} episode{'s' * (count != 1)}",
                recipe=variant.recipe,
                set=variant.set | {"episodes": count},
            )
            for variant in self.variants
            for count in self.episodes
        )

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        _require_distinct("systems", [system.name for system in self.systems])
        if any(system.name == DATA_FOLDER for system in self.systems):
            raise ValueError(
                f"a system cannot be called {DATA_FOLDER}: a study keeps its datasets in a folder of that name"
            )
        folders: dict[str, str] = {}
        for variant in self.trained_variants:
            if (other := folders.setdefault(variant.folder, variant.name)) is not variant.name:
                raise ValueError(f"variants {other!r} and {variant.name!r} would have one folder, {variant.folder}")
        for system in self.systems:
            _require_distinct(f"seeds of {system.name}", [str(seed) for seed in system.seeds or self.seeds])
        if wrong := [horizon for horizon in self.horizons if not 1 <= horizon <= self.data.steps]:
            raise ValueError(f"horizon {wrong[0]} does not fit into episodes of {self.data.steps} physics steps")
        if wrong := [count for count in self.episodes if not 1 <= count <= self.data.episodes]:
            raise ValueError(f"the first {wrong[0]} episodes are asked for; {self.data.episodes} are collected")
        if self.episodes and (named := [variant.name for variant in self.variants if "episodes" in variant.set]):
            raise ValueError(f"the study and its variant {named[0]!r} both say how many episodes are trained on")
        if self.data.seed == self.data.held_out_seed:
            raise ValueError("data.seed and data.held_out_seed are the same, so nothing would be held out")
        return self


def read_study(file: Path) -> Study:
    """Reads a study's YAML file.

    Raises:
      MosimError: the file is missing or wrong; names it, the key, and what is allowed.
    """
    return read_yaml_model(file, Study)


def _require_distinct(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} must differ from one another; {twice[0]} comes twice")
