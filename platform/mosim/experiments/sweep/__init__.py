"""Sweeps as data: a search space of recipes, how it is searched, and for how long."""

from mosim.experiments.sweep.config import METRICS, Metric, Sweep, SweepData, read_sweep
from mosim.experiments.sweep.plan import PolicyPlan, SimulatorPlan, SweepPlan, plan_sweep
from mosim.experiments.sweep.reports import (
    CURVE,
    FAILURE,
    FINISHED,
    NO_SPACE,
    SINCE_SECONDS,
    STAGE,
    STATE_FILE,
    TRAIN_SECONDS,
    TUNE_FOLDER,
    WALL_SECONDS,
    failed_report,
    seed_folder,
    trial_folder,
)
from mosim.experiments.sweep.resumption import check_resumption
from mosim.experiments.sweep.space import Draw, Space
from mosim.experiments.sweep.strategies import Asha, Median, NoScheduler, OptunaSearch, Pbt, RandomSearch

__all__ = [
    "CURVE",
    "FAILURE",
    "FINISHED",
    "METRICS",
    "NO_SPACE",
    "SINCE_SECONDS",
    "STAGE",
    "STATE_FILE",
    "TRAIN_SECONDS",
    "TUNE_FOLDER",
    "WALL_SECONDS",
    "Asha",
    "Draw",
    "Median",
    "Metric",
    "NoScheduler",
    "OptunaSearch",
    "Pbt",
    "PolicyPlan",
    "RandomSearch",
    "SimulatorPlan",
    "Space",
    "Sweep",
    "SweepData",
    "SweepPlan",
    "check_resumption",
    "failed_report",
    "plan_sweep",
    "read_sweep",
    "seed_folder",
    "trial_folder",
]
