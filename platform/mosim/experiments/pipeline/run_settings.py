"""The settings of a whole run, and what it shares with other ways from a task to a policy."""

import os
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field, SerializeAsAny

from mosim.agents import PolicyRecipe
from mosim.core.frozen import Frozen
from mosim.data import EPISODE_STEPS, HELD_OUT_EPISODES, TRAINING_EPISODES
from mosim.evaluation import STANDARD_HORIZONS
from mosim.training import Recipe

_NOT_IDENTITY = {"resume", "verbose", "workers", "threads", "experiment", "tracking_uri", "out", "allow_imports"}
"""Options that change how a run is done and not what comes of it; a resumed run may have others."""


class SharedSettings(Frozen):
    """What commands share that go all the way from a task to a policy; every field is a flag."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")] = Field(
        description="A task as domain-task; `mosim systems` lists them."
    )
    workers: int = Field(default=os.cpu_count() or 1, ge=1, description="Number of Ray actors that collect data.")
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="Random seed of the data, the simulator and the policy; it replaces the recipes' seeds.",
    )
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = Field(
        default=None, gt=0, description="Wall-clock budget of a simulator's training; each stage keeps its share."
    )
    simulator_recipe: Annotated[str | None, tyro.conf.arg(metavar="FILE|NAME")] = Field(
        default=None,
        description="A YAML file; geometry or arrays, for the system's recipe of that knowledge level; or the name "
        "of a recipe that mosim ships. If omitted: the system's recipe, or a general one.",
    )
    policy_recipe: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = Field(
        default=None, description="A YAML file. If omitted: the task's own recipe, or a general one."
    )
    allow_imports: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Import the module that the policy's recipe file names. This runs the module's code.",
    )
    device: str = Field(default="auto", description="Device on which the simulator is trained: auto, cpu, cuda, ...")
    threads: int = Field(default=1, ge=1, description="CPU threads for torch; small networks are fastest with 1.")
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Resume the run in --out, if there is one; finished phases are not repeated."
    )
    experiment: str = Field(default="mosim", description="Name of the MLflow experiment.")
    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None,
        description="MLflow tracking URI, or off for no tracking. If omitted: MLFLOW_TRACKING_URI, or ./mlflow.db.",
    )
    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = Field(
        default=False, description="Show the output of libraries on the terminal; otherwise it goes to a log file."
    )
    simulator: Recipe
    policy: SerializeAsAny[PolicyRecipe]

    @property
    def identity(self) -> dict[str, Any]:
        """The options that decide what comes of a run, for `mosim.core.run_identity`."""
        return self.model_dump(mode="json", exclude=_NOT_IDENTITY)

    @property
    def used_simulator(self) -> Recipe:
        """The simulator's recipe with the run's seed and budget."""
        recipe = self.simulator.model_copy(update={"seed": self.seed})
        return recipe if self.minutes is None else recipe.within(self.minutes)

    @property
    def used_policy(self) -> PolicyRecipe:
        """The policy's recipe with the run's seed."""
        return self.policy.model_copy(update={"seed": self.seed})


class RunSettings(SharedSettings):
    """What `WholeRun` does; every field is a flag of `mosim run`."""

    out: Path | None = Field(default=None, description="Output folder. If omitted: runs/TASK.")
    episodes: int = Field(default=TRAINING_EPISODES, ge=2, description="Number of training episodes.")
    heldout_episodes: int = Field(
        default=HELD_OUT_EPISODES, ge=1, description="Number of held-out episodes, which have another seed."
    )
    steps: int = Field(default=EPISODE_STEPS, ge=1, description="Physics steps per episode.")
    horizons: tuple[int, ...] = Field(
        default=STANDARD_HORIZONS, min_length=1, description="Horizons to evaluate, in physics steps."
    )
