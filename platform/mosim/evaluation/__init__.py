"""What is measured of a simulator: horizon errors, beside the baselines that belong on every plot."""

from mosim.evaluation.horizon import (
    STANDARD_HORIZONS,
    RolloutErrors,
    dimension_table,
    draw_starts,
    horizon_curve,
    horizon_table,
    measure_rollouts,
    share_starts,
)
from mosim.evaluation.report import MODEL_NAME, Evaluation, evaluate

__all__ = [
    "MODEL_NAME",
    "STANDARD_HORIZONS",
    "Evaluation",
    "RolloutErrors",
    "dimension_table",
    "draw_starts",
    "evaluate",
    "horizon_curve",
    "horizon_table",
    "measure_rollouts",
    "share_starts",
]
