"""The figures of the page: each a function from a pandas frame, whose columns it documents, to a plotly figure."""

from mosim_analysis.figures.dimensions import dimension_errors, dimension_medians, shown_dimension
from mosim_analysis.figures.horizon import horizon_curves
from mosim_analysis.figures.returns import returns_against_truth
from mosim_analysis.figures.speed import error_over_speed
from mosim_analysis.figures.sweep import importances, parallel_coordinates
from mosim_analysis.figures.training import error_over_cost, loss_curves

__all__ = [
    "dimension_errors",
    "dimension_medians",
    "error_over_cost",
    "error_over_speed",
    "horizon_curves",
    "importances",
    "loss_curves",
    "parallel_coordinates",
    "returns_against_truth",
    "shown_dimension",
]
