"""What is measured of a simulator: horizon errors, beside the baselines that belong on every plot; and films of it."""

from mosim.evaluation.comparison import Comparison, compare
from mosim.evaluation.film import FilmStyle, error_strip, film_comparison, write_contact_sheet
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
from mosim.evaluation.plots import knowledge_by_model, plot_horizon
from mosim.evaluation.report import (
    HOLD_LAST,
    HORIZON_CURVE,
    HORIZON_DIMENSIONS,
    HORIZON_PLOT,
    HORIZON_TABLE,
    MODEL_NAME,
    PERTURBED_TWIN,
    Evaluation,
    baselines,
    evaluate,
    measure_horizons,
    write_tables,
)
from mosim.evaluation.speed import rollout_speed

__all__ = [
    "HOLD_LAST",
    "HORIZON_CURVE",
    "HORIZON_DIMENSIONS",
    "HORIZON_PLOT",
    "HORIZON_TABLE",
    "MODEL_NAME",
    "PERTURBED_TWIN",
    "STANDARD_HORIZONS",
    "Comparison",
    "Evaluation",
    "FilmStyle",
    "RolloutErrors",
    "baselines",
    "compare",
    "dimension_table",
    "draw_starts",
    "error_strip",
    "evaluate",
    "film_comparison",
    "horizon_curve",
    "horizon_table",
    "knowledge_by_model",
    "measure_horizons",
    "measure_rollouts",
    "plot_horizon",
    "rollout_speed",
    "share_starts",
    "write_contact_sheet",
    "write_tables",
]
