"""Trajectories of the true physics: behaviours, collection by Ray actors, the dataset on disk, importers."""

from mosim.trajectories.behaviours import (
    Behaviour,
    ImportedBehaviour,
    PoissonBehaviour,
    Policy,
    PolicyBehaviour,
    resolve_policy,
)
from mosim.trajectories.collect import collect
from mosim.trajectories.dataset import Dataset, Trajectories, window_starts
from mosim.trajectories.episodes import Episode, collect_episode
from mosim.trajectories.importers import import_npz
from mosim.trajectories.metadata import Metadata, Shard
from mosim.trajectories.standard import (
    EPISODE_STEPS,
    HELD_OUT_EPISODES,
    HELD_OUT_SEED_OFFSET,
    TRAINING_EPISODES,
    Collection,
    StandardData,
)

__all__ = [
    "EPISODE_STEPS",
    "HELD_OUT_EPISODES",
    "HELD_OUT_SEED_OFFSET",
    "TRAINING_EPISODES",
    "Behaviour",
    "Collection",
    "Dataset",
    "Episode",
    "ImportedBehaviour",
    "Metadata",
    "PoissonBehaviour",
    "Policy",
    "PolicyBehaviour",
    "Shard",
    "StandardData",
    "Trajectories",
    "collect",
    "collect_episode",
    "import_npz",
    "resolve_policy",
    "window_starts",
]
