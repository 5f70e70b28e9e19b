"""The settings of a whole run."""

import os
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field, SerializeAsAny

from mosim.agents import PolicyRecipe
from mosim.core.frozen import Frozen
from mosim.data import EPISODE_STEPS, HELD_OUT_EPISODES, TRAINING_EPISODES
from mosim.evaluation import STANDARD_HORIZONS
from mosim.training import Recipe


class RunSettings(Frozen):
    """What `WholeRun` does; every field is a flag of `mosim run`."""

    task: tyro.conf.Positional[str] = Field(description="A task as domain-task; mosim systems lists them.")
    out: Path | None = Field(default=None, description="Folder for everything; runs/TASK by default.")
    episodes: int = Field(default=TRAINING_EPISODES, ge=2, description="Training episodes.")
    heldout_episodes: int = Field(default=HELD_OUT_EPISODES, ge=1, description="Held-out episodes, under another seed.")
    steps: int = Field(default=EPISODE_STEPS, ge=1, description="Physics steps an episode.")
    workers: int = Field(default=os.cpu_count() or 1, ge=1, description="Ray actors that collect.")
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Of data, simulator and policy; replaces the recipes' own."
    )
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = Field(
        default=None, gt=0, description="Fit the simulator's training into this wall-clock budget."
    )
    horizons: tuple[int, ...] = Field(default=STANDARD_HORIZONS, min_length=1, description="Physics steps measured.")
    simulator_recipe: Annotated[str | None, tyro.conf.arg(metavar="FILE|NAME")] = Field(
        default=None,
        description="YAML; geometry or arrays, for the system's recipe that knows no more of the robot; or the name of "
        "one of mosim's own. By default the system's, or a general one.",
    )
    policy_recipe: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = Field(
        default=None, description="YAML; by default the task's own recipe, or a general one."
    )
    allow_imports: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Import the module that the policy recipe's file names; its code runs.",
    )
    device: str = Field(default="auto", description="Where the simulator is trained: auto, cpu, cuda, ...")
    threads: int = Field(default=1, ge=1, description="Torch's threads on the CPU; small networks are fastest with 1.")
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Go on with the run in --out, if there is one; finished phases are not repeated."
    )
    experiment: str = Field(default="mosim", description="MLflow's experiment.")
    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None, description="MLflow's store; off for none. By default MLFLOW_TRACKING_URI, or ./mlflow.db."
    )
    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = Field(
        default=False, description="Show what libraries print; a log file holds it anyway."
    )
    simulator: Recipe
    policy: SerializeAsAny[PolicyRecipe]
