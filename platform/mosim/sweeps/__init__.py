"""Sweeps: many trainings, from a search space of recipes, to find a good one."""

import importlib
from typing import TYPE_CHECKING, Any

from mosim.sweeps.config import METRICS, Metric, Sweep, SweepData, read_sweep
from mosim.sweeps.plan import PolicyPlan, SimulatorPlan, SweepPlan, plan_sweep
from mosim.sweeps.reports import CURVE, FINISHED, NO_SPACE, TRAIN_SECONDS, WALL_SECONDS, seed_folder
from mosim.sweeps.resumption import check_resumption
from mosim.sweeps.space import Draw, Space
from mosim.sweeps.strategies import Asha, Median, NoScheduler, OptunaSearch, Pbt, RandomSearch

if TYPE_CHECKING:
    from mosim.sweeps.driver import holds_sweep, run_sweep
    from mosim.sweeps.news import TrialNews
    from mosim.sweeps.results import (
        TRIALS_FILE,
        TrialResult,
        best_first,
        pareto_front,
        reports_of,
        shown_draw,
        trial_table,
        write_trials,
    )

__all__ = [
    "CURVE",
    "FINISHED",
    "METRICS",
    "NO_SPACE",
    "TRAIN_SECONDS",
    "TRIALS_FILE",
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
    "TrialNews",
    "TrialResult",
    "best_first",
    "check_resumption",
    "holds_sweep",
    "pareto_front",
    "plan_sweep",
    "read_sweep",
    "reports_of",
    "run_sweep",
    "seed_folder",
    "shown_draw",
    "trial_table",
    "write_trials",
]

_NEED_TUNE = {
    "TRIALS_FILE": "results",
    "TrialNews": "news",
    "TrialResult": "results",
    "best_first": "results",
    "holds_sweep": "driver",
    "pareto_front": "results",
    "reports_of": "results",
    "run_sweep": "driver",
    "shown_draw": "results",
    "trial_table": "results",
    "write_trials": "results",
}


def __getattr__(name: str) -> Any:
    # Ray Tune takes seconds to import, and a mistake in a sweep's file should be told at once.
    if name in _NEED_TUNE:
        return getattr(importlib.import_module(f"mosim.sweeps.{_NEED_TUNE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
