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
from mosim.trajectories.concerns import concerns
from mosim.trajectories.dataset import Dataset, Trajectories, window_starts
from mosim.trajectories.episodes import Episode, collect_episode
from mosim.trajectories.importers import import_npz
from mosim.trajectories.metadata import Metadata, Shard
from mosim.trajectories.replay_check import ReplayCheck, check_steps, check_trajectories
from mosim.trajectories.standard import (
    EPISODE_STEPS,
    HELD_OUT_EPISODES,
    HELD_OUT_SEED_OFFSET,
    TRAINING_EPISODES,
    Collection,
    StandardData,
    check_collection,
)
from mosim.trajectories.survey import ActuatorUse, Coverage, Survey
from mosim.trajectories.surveyor import Surveyor
from mosim.trajectories.tallies import HeldActions, Place
from mosim.trajectories.touching import contact_share
from mosim.trajectories.twins import Overlap, overlap

__all__ = [
    "EPISODE_STEPS",
    "HELD_OUT_EPISODES",
    "HELD_OUT_SEED_OFFSET",
    "TRAINING_EPISODES",
    "ActuatorUse",
    "Behaviour",
    "Collection",
    "Coverage",
    "Dataset",
    "Episode",
    "HeldActions",
    "ImportedBehaviour",
    "Metadata",
    "Overlap",
    "Place",
    "PoissonBehaviour",
    "Policy",
    "PolicyBehaviour",
    "ReplayCheck",
    "Shard",
    "StandardData",
    "Survey",
    "Surveyor",
    "Trajectories",
    "check_collection",
    "check_steps",
    "check_trajectories",
    "collect",
    "collect_episode",
    "concerns",
    "contact_share",
    "import_npz",
    "overlap",
    "resolve_policy",
    "window_starts",
]
