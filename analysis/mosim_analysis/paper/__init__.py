"""Figures for papers: matplotlib, as wide as a column, as PDF with embedded fonts and as PNG."""

from mosim_analysis.paper.drawing import COLUMN_INCHES, save
from mosim_analysis.paper.figures import (
    dimension_errors,
    error_over_cost,
    error_over_speed,
    horizon_curves,
    importances,
    loss_curves,
    returns_against_truth,
)
from mosim_analysis.paper.writing import write_figures

__all__ = [
    "COLUMN_INCHES",
    "dimension_errors",
    "error_over_cost",
    "error_over_speed",
    "horizon_curves",
    "importances",
    "loss_curves",
    "returns_against_truth",
    "save",
    "write_figures",
]
