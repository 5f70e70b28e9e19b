"""What is measured of a simulator: horizon errors beside their baselines, films of it, and its masses as an MJCF's."""

from typing import TYPE_CHECKING

from mosim.core.lazy_names import lazy_names
from mosim.evaluation.agreement import PAIRS, agreement
from mosim.evaluation.calibration import COVERED, Calibration, measure_calibration
from mosim.evaluation.comparison import Comparison, compare
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
from mosim.evaluation.identification.identified import Identification, identification
from mosim.evaluation.identification.identified_numbers import Change, Identified, Known, Number, over_seeds
from mosim.evaluation.identification.mjcf_mechanics import MjcfMechanics, mjcf_mechanics, require_same_drawing
from mosim.evaluation.identification.written_model import WrittenModel, write_learned
from mosim.evaluation.lyapunov import LyapunovExponent, lyapunov_exponent
from mosim.evaluation.predictions import measure_predictions, write_starts
from mosim.evaluation.report import (
    CALIBRATION_PLOT,
    CALIBRATION_TABLE,
    CHAOS_FLOOR,
    HORIZON_CURVE,
    HORIZON_DIMENSIONS,
    HORIZON_PLOT,
    HORIZON_TABLE,
    MODEL_NAME,
    PERSISTENCE,
    Evaluation,
    baselines,
    evaluate,
    measure_horizons,
    write_tables,
)
from mosim.evaluation.speed import rollout_speed

if TYPE_CHECKING:
    from mosim.evaluation.film import FilmStyle, error_strip, film_comparison, write_contact_sheet
    from mosim.evaluation.plots import knowledge_by_model, plot_calibration, plot_horizon

__all__ = [
    "CALIBRATION_PLOT",
    "CALIBRATION_TABLE",
    "CHAOS_FLOOR",
    "COVERED",
    "HORIZON_CURVE",
    "HORIZON_DIMENSIONS",
    "HORIZON_PLOT",
    "HORIZON_TABLE",
    "MODEL_NAME",
    "PAIRS",
    "PERSISTENCE",
    "STANDARD_HORIZONS",
    "Calibration",
    "Change",
    "Comparison",
    "Evaluation",
    "FilmStyle",
    "Identification",
    "Identified",
    "Known",
    "LyapunovExponent",
    "MjcfMechanics",
    "Number",
    "RolloutErrors",
    "WrittenModel",
    "agreement",
    "baselines",
    "compare",
    "dimension_table",
    "draw_starts",
    "error_strip",
    "evaluate",
    "film_comparison",
    "horizon_curve",
    "horizon_table",
    "identification",
    "knowledge_by_model",
    "lyapunov_exponent",
    "measure_calibration",
    "measure_horizons",
    "measure_predictions",
    "measure_rollouts",
    "mjcf_mechanics",
    "over_seeds",
    "plot_calibration",
    "plot_horizon",
    "require_same_drawing",
    "rollout_speed",
    "share_starts",
    "write_contact_sheet",
    "write_learned",
    "write_starts",
    "write_tables",
]

# What draws plots imports matplotlib, which measuring in a worker has no need of.
__getattr__ = lazy_names(
    __name__,
    {
        "FilmStyle": "film",
        "error_strip": "film",
        "film_comparison": "film",
        "knowledge_by_model": "plots",
        "plot_calibration": "plots",
        "plot_horizon": "plots",
        "write_contact_sheet": "film",
    },
)
