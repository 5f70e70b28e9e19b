"""The names of metrics in MLflow: commands track them, and the page of comparisons reads them."""

TRAINING = "train/"
LOSS = "train/loss"
LEARNING_RATE = "train/learning_rate"
SAMPLES_PER_SECOND = "train/samples_per_second"
CALLS_PER_PHYSICS_STEP = "train/calls_per_physics_step"
STAGE = "train/stage"
SAMPLES = "train/samples"
TRAIN_SECONDS = "train/seconds"
TRAIN_WALL_SECONDS = "train/wall_seconds"
"""Of a simulator's training, by gradient step."""

HORIZON_CURVE = "horizon_mse/"
HORIZON_CURVE_AT = "horizon_mse_at/"
"""Before the name of what is measured: errors over all steps up to one, and at that step alone, by physics step."""

VALIDATION_CURVE = "horizon_mse/validation"
"""The first of these of a trial, on the episodes that are kept from training."""

COST_HORIZON = 16
"""At which every training measures itself, at the ends of stages; a sweep's trials with every report."""

ROLLOUT_SPEED = "rollout_steps_per_second"

RETURN_SIMULATED = "return/simulated"
RETURN_TRUE = "return/true_mean"
RETURN_TRUE_STD = "return/true_std"
RETURN_TRAINING = "return/training"
WALL_SECONDS = "wall_seconds"
"""Of a policy, by control step."""

NEW_DATA_ERROR = "new_data/horizon_mse_16"
"""Of the simulator of a round, on the data of the next before it has seen them, by true step; returns too."""


def validation_error(horizon: int | str = COST_HORIZON) -> str:
    """Of a simulator in training, on the episodes that are kept from it, by gradient step."""
    return f"validation/horizon_mse_{horizon}"


def held_out_error(horizon: int) -> str:
    """Of a simulator that `mosim evaluate` measures, one number a run."""
    return f"heldout/horizon_mse_{horizon}"
