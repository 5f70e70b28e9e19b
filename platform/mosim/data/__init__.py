"""Trajectories of the true physics: behaviours, collection by Ray actors, datasets on disk, importers, inspection."""

from typing import TYPE_CHECKING

from mosim.core.lazy_names import lazy_names
from mosim.data.behaviours import (
    Behaviour,
    ImportedBehaviour,
    PoissonBehaviour,
    Policy,
    PolicyBehaviour,
    resolve_policy,
)
from mosim.data.collect import collect
from mosim.data.dataset import Dataset, Trajectories, window_starts
from mosim.data.episodes import Episode, collect_episode
from mosim.data.importing.npz import import_npz
from mosim.data.inspection.contact_fraction import contact_share
from mosim.data.inspection.data_checks import data_warnings
from mosim.data.inspection.near_duplicates import Overlap, overlap
from mosim.data.inspection.replay_check import ReplayCheck, check_steps, check_trajectories
from mosim.data.inspection.running_statistics import HeldActions, Place
from mosim.data.inspection.survey import ActuatorUse, Coverage, Survey
from mosim.data.inspection.surveyor import Surveyor
from mosim.data.metadata import Metadata, Shard
from mosim.data.standard import (
    EPISODE_STEPS,
    HELD_OUT_EPISODES,
    HELD_OUT_SEED_OFFSET,
    TRAINING_EPISODES,
    Collection,
    StandardData,
    check_collection,
)

if TYPE_CHECKING:
    from mosim.data.importing.logs import import_log

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
    "contact_share",
    "data_warnings",
    "import_log",
    "import_npz",
    "overlap",
    "resolve_policy",
    "window_starts",
]

# Splines and Arrow's readers of tables take 50 MB and more, which loading a dataset has no need of.
__getattr__ = lazy_names(__name__, {"import_log": "importing.logs"})
