"""Standard data: what simulators are trained on and measured on where nobody says otherwise."""

from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from mosim.core.frozen import Frozen
from mosim.core.storage import Folder
from mosim.data.behaviours import Behaviour, PoissonBehaviour
from mosim.data.metadata import check_dataset, describe
from mosim.robots import System

TRAINING_EPISODES = 300

HELD_OUT_EPISODES = 50

EPISODE_STEPS = 1000
"""Physics steps of an episode."""

HELD_OUT_SEED_OFFSET = 2**31
"""Added to the seed for held-out episodes, which so share no start and no action with any training set."""


class Collection(NamedTuple):
    """What is asked of `collect`, beside the system and the folder."""

    episodes: int
    steps: int
    seed: int
    behaviour: Behaviour = PoissonBehaviour()


def check_collection(system: System, out: str | Path, wanted: Collection) -> None:
    """Checks that a folder has room for data that are to be collected: it holds none, or those, finished or not.

    Raises:
      MismatchError: another dataset lies there; names what differs.
    """
    check_dataset(Folder.at(out), describe(system, wanted.behaviour, wanted.seed, wanted.episodes, wanted.steps))


class StandardData(Frozen):
    """Random actions held for random times, from the task's own starts: episodes to train on, and held-out ones."""

    episodes: int = Field(default=TRAINING_EPISODES, ge=2, description="Number of training episodes.")
    steps: int = Field(default=EPISODE_STEPS, ge=1, description="Physics steps per episode.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Random seed of the training episodes.")
    held_out_episodes: int = Field(
        default=HELD_OUT_EPISODES, ge=1, description="Number of held-out episodes, which are not used for training."
    )
    held_out_seed: int = Field(
        default=HELD_OUT_SEED_OFFSET,
        ge=0,
        lt=2**32,
        description="Random seed of the held-out episodes; it must differ from that of the training episodes.",
    )

    @property
    def training(self) -> Collection:
        """The episodes to train on."""
        return Collection(self.episodes, self.steps, self.seed)

    @property
    def held_out(self) -> Collection:
        """The episodes to measure on."""
        return Collection(self.held_out_episodes, self.steps, self.held_out_seed)
