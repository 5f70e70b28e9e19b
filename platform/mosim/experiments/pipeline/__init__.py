"""The steps from a task to a policy, each shown and tracked: data, training, measurement, policies; all in one run."""

from typing import TYPE_CHECKING

from mosim.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from mosim.experiments.pipeline.collection import SimulatorDoubt, collect_trajectories, load_any_policy
    from mosim.experiments.pipeline.measurement import (
        calibration_summary,
        horizon_summary,
        measure_simulator,
        track_curve,
        track_dimensions,
        track_horizons,
    )
    from mosim.experiments.pipeline.notes import note, print_tracking
    from mosim.experiments.pipeline.policies import (
        TRUE_TRAINED,
        ZERO_SHOT,
        draw_returns,
        film_final_policy,
        return_summary,
        train_policies,
        warn_of_hidden_physics,
    )
    from mosim.experiments.pipeline.run_settings import RunSettings, SharedSettings
    from mosim.experiments.pipeline.shown_recipes import recipe_line, show_recipes
    from mosim.experiments.pipeline.standard_data import (
        HELD_OUT_SUFFIX,
        STANDARD,
        TRAINING_SUFFIX,
        collect_wanted,
        complete_dataset,
        default_dataset,
    )
    from mosim.experiments.pipeline.training import model_tags, pick_device, track_report, train_simulator
    from mosim.experiments.pipeline.whole_run import WholeRun

__all__ = [
    "HELD_OUT_SUFFIX",
    "STANDARD",
    "TRAINING_SUFFIX",
    "TRUE_TRAINED",
    "ZERO_SHOT",
    "RunSettings",
    "SharedSettings",
    "SimulatorDoubt",
    "WholeRun",
    "calibration_summary",
    "collect_trajectories",
    "collect_wanted",
    "complete_dataset",
    "default_dataset",
    "draw_returns",
    "film_final_policy",
    "horizon_summary",
    "load_any_policy",
    "measure_simulator",
    "model_tags",
    "note",
    "pick_device",
    "print_tracking",
    "recipe_line",
    "return_summary",
    "show_recipes",
    "track_curve",
    "track_dimensions",
    "track_horizons",
    "track_report",
    "train_policies",
    "train_simulator",
    "warn_of_hidden_physics",
]

# A command that collects has no need of RLlib.
__getattr__ = lazy_names(
    __name__,
    {
        "HELD_OUT_SUFFIX": "standard_data",
        "RunSettings": "run_settings",
        "STANDARD": "standard_data",
        "SharedSettings": "run_settings",
        "TRAINING_SUFFIX": "standard_data",
        "SimulatorDoubt": "collection",
        "TRUE_TRAINED": "policies",
        "WholeRun": "whole_run",
        "ZERO_SHOT": "policies",
        "calibration_summary": "measurement",
        "collect_trajectories": "collection",
        "collect_wanted": "standard_data",
        "complete_dataset": "standard_data",
        "default_dataset": "standard_data",
        "draw_returns": "policies",
        "film_final_policy": "policies",
        "horizon_summary": "measurement",
        "load_any_policy": "collection",
        "measure_simulator": "measurement",
        "model_tags": "training",
        "note": "notes",
        "pick_device": "training",
        "print_tracking": "notes",
        "recipe_line": "shown_recipes",
        "return_summary": "policies",
        "show_recipes": "shown_recipes",
        "track_curve": "measurement",
        "track_dimensions": "measurement",
        "track_horizons": "measurement",
        "track_report": "training",
        "train_policies": "policies",
        "train_simulator": "training",
        "warn_of_hidden_physics": "policies",
    },
)
