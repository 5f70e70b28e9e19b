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
    """A system of a study. In YAML, its name alone is enough."""

    task: str = Field(description="A task as domain-task, or the path of an MJCF file, relative to the study's file.")
    seeds: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="Seeds for this system, in place of the study's."
    )
    minutes: float | None = Field(default=None, gt=0, description="Minutes for this system, in place of the study's.")

    @property
    def name(self) -> str:
        """What folders and tables call it: `reacher-easy`, and an MJCF file by its stem."""
        return label_of(self.task)


class Variant(Frozen):
    """A recipe to be compared with others."""

    name: str = Field(min_length=1, description="Name in tables and plots.")
    recipe: str | None = Field(
        default=None,
        description="A YAML file, relative to the study's file; geometry or arrays, for the system's recipe of that "
        "knowledge level; or the name of a recipe that mosim ships, such as general. If omitted: the "
        "study's recipe, or else the system's own recipe of knowledge level tree.",
    )
    set: dict[str, Any] = Field(
        default={}, description="Changed values of the recipe by dotted name, such as model.correctors.0.inputs: []."
    )

    @property
    def folder(self) -> str:
        """The name as a folder's, letters of any script kept."""
        return re.sub(r"[^\w.]+", "-", self.name.lower()).strip("-.") or "variant"


class Study(Frozen):
    """Systems times variants times seeds, each a training run whose horizon errors are measured."""

    name: str = Field(
        min_length=1, pattern=r"^[\w.-]+$", description="Name of the study; its output folder is runs/NAME by default."
    )
    systems: tuple[SystemRuns, ...] = Field(
        min_length=1, description="Tasks or MJCF files, or mappings with task, seeds and minutes."
    )
    seeds: tuple[int, ...] = Field(
        default=(0,), min_length=1, description="Seeds; each gives one training run, and replaces the recipe's seed."
    )
    minutes: float | None = Field(
        default=None, gt=0, description="Wall-clock budget of a training run. If omitted: as long as its recipe says."
    )
    recipe: str | None = Field(default=None, description="Recipe of every variant that names none; see there.")
    data: StandardData = Field(default=StandardData(), description="Data to collect for each system.")
    episodes: tuple[int, ...] = Field(
        default=(),
        description="Numbers of training episodes. For each number N, every variant is trained on the first N "
        "episodes. If omitted: on all.",
    )
    horizons: tuple[int, ...] = Field(
        default=STANDARD_HORIZONS, min_length=1, description="Horizons to evaluate, in physics steps."
    )
    starts: int = Field(default=400, ge=1, description="Rollouts per horizon; fewer if the episodes have fewer starts.")
    variants: tuple[Variant, ...] = Field(
        default=(Variant(name="recipe"),),
        min_length=1,
        description="Variants of the recipe. If omitted: the unchanged recipe.",
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
                f"a system must not have the name {DATA_FOLDER}: a study stores its datasets in a folder of that name"
            )
        folders: dict[str, str] = {}
        for variant in self.trained_variants:
            if (other := folders.setdefault(variant.folder, variant.name)) is not variant.name:
                raise ValueError(
                    f"variants {other!r} and {variant.name!r} would have the same folder, {variant.folder}"
                )
        for system in self.systems:
            _require_distinct(f"seeds of {system.name}", [str(seed) for seed in system.seeds or self.seeds])
        if wrong := [horizon for horizon in self.horizons if not 1 <= horizon <= self.data.steps]:
            raise ValueError(
                f"horizon {wrong[0]} is not between 1 and the {self.data.steps} physics steps of an episode"
            )
        if wrong := [count for count in self.episodes if not 1 <= count <= self.data.episodes]:
            raise ValueError(f"{wrong[0]} episodes are requested for training, but {self.data.episodes} are collected")
        if self.episodes and (named := [variant.name for variant in self.variants if "episodes" in variant.set]):
            raise ValueError(
                f"the study and its variant {named[0]!r} both set the number of training episodes; set it in one of "
                "them"
            )
        if self.data.seed == self.data.held_out_seed:
            raise ValueError("data.seed and data.held_out_seed are equal, so nothing would be held out")
        return self


def read_study(file: Path) -> Study:
    """Reads a study's YAML file.

    Raises:
      MosimError: the file is missing or wrong; names it, the key, and what is allowed.
    """
    return read_yaml_model(file, Study)


def _require_distinct(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} must be distinct; {twice[0]} is given twice")
