"""The settings of learning in rounds."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from mosim.experiments.pipeline import SharedSettings

RANDOM = "random"
"""Initial data: random actions, each held for a random time."""


class LearnSettings(SharedSettings):
    """What `Learning` does; every field is a flag of `mosim learn`."""

    out: Path | None = Field(default=None, description="Output folder. If omitted: runs/TASK-learn.")
    true_steps: int = Field(
        default=10_000,
        ge=1,
        description="Control steps in the true task, over all rounds. Evaluations of the policy are not counted.",
    )
    rounds: int = Field(default=3, ge=1, description="Number of rounds, which have the same number of true steps each.")
    initial: Annotated[str, tyro.conf.arg(metavar="random|DATASET")] = Field(
        default=RANDOM,
        description="Data of the first round: random actions, or an existing dataset. The steps of a dataset count as "
        "true steps; the other rounds share what is left.",
    )
    from_scratch: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Train the simulator of each round from random weights. Otherwise it begins with the weights of "
        "the round before, unless the recipe has a stage of least squares, which needs none.",
    )
    exploration: Literal["noise", "disagreement"] = Field(
        default="noise",
        description="How a policy collects data: noise adds noise to its actions; disagreement compares 16 actions "
        "with noise, and takes the one whose outcome is the most uncertain in the simulator, which must have an "
        "uncertainty, such as that of --simulator-recipe arrays/ensemble.",
    )
    noise: float = Field(
        default=0.3,
        ge=0,
        description="Standard deviation of the noise added to a policy's actions when it collects data, as a fraction "
        "of half the control range.",
    )
