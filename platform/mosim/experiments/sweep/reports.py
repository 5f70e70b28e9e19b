"""What a trial reports, by name, whatever it trains."""

import math
from typing import Any

from mosim.experiments.sweep.config import METRICS, Sweep

TRAIN_SECONDS = "train_seconds"
"""What trials are compared at: a seed's seconds of gradient steps, a predictor's that was taken over included."""

SINCE_SECONDS = "since_train_seconds"
"""The same at the report before; at the first, what of it a predictor took that was taken over, else 0."""

WALL_SECONDS = "wall_seconds"
"""Since the trial began, all told; interruptions are not in it."""

STAGE = "stage"

FINISHED = "finished"

FAILURE = "failure"
"""Why a trial came to nothing, where it did and another attempt would not help; see `lasting_failure`."""

NO_SPACE = "No space left on device"
"""The operating system's words, in the failure of a trial that could not write."""

CURVE = "horizon_curve"
"""The horizon error by physics step, from 1 on; in the last report of a simulator."""

TUNE_FOLDER = "tune"
"""Of a sweep's storage: Tune's."""

STATE_FILE = "trial.json"
"""Of a trial's checkpoint: its last report."""


def trial_folder(trial: str) -> str:
    """Of Tune's folder: a trial's."""
    return f"trial-{trial}"


def seed_folder(seed: int) -> str:
    """Of a trial's checkpoint: what belongs to one of the trial's seeds."""
    return f"seed-{seed}"


def failed_report(sweep: Sweep, failure: str) -> dict[str, Any]:
    """The report of a trial that came to nothing: as bad as can be."""
    worst = {name: math.inf if METRICS[name].mode == "min" else -math.inf for name in sweep.metric}
    # As if at the end of its training, so that it is judged by no rung before.
    return {**worst, TRAIN_SECONDS: 60 * (sweep.minutes or 0.0), FINISHED: True, FAILURE: failure}
