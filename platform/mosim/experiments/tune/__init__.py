"""Sweeps under Ray Tune: all of mosim that imports `ray.tune`."""

from mosim.experiments.tune.conclusion import Conclusion, conclude, full_training
from mosim.experiments.tune.driver import holds_sweep, run_sweep
from mosim.experiments.tune.events import TrialEvent
from mosim.experiments.tune.results import (
    TRIALS_FILE,
    TrialResult,
    best_first,
    pareto_front,
    reports_of,
    shown_draw,
    trial_table,
    write_trials,
)
from mosim.experiments.tune.watcher import SweepWatcher
from mosim.experiments.tune.whole_sweep import SweepResults, full_disks_told, run_whole_sweep

__all__ = [
    "TRIALS_FILE",
    "Conclusion",
    "SweepResults",
    "SweepWatcher",
    "TrialEvent",
    "TrialResult",
    "best_first",
    "conclude",
    "full_disks_told",
    "full_training",
    "holds_sweep",
    "pareto_front",
    "reports_of",
    "run_sweep",
    "run_whole_sweep",
    "shown_draw",
    "trial_table",
    "write_trials",
]
