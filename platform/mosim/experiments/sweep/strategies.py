"""How trials are drawn, and which of them end early."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from mosim.core.frozen import Frozen


class Asha(Frozen):
    """Stops trials early that are behind others at the same training time."""

    kind: Literal["asha"] = Field(default="asha", description="Asynchronous successive halving.")
    grace_minutes: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="Training minutes before a trial may be stopped. If omitted: a fraction of minutes.",
    )
    reduction_factor: int = Field(default=3, ge=2, description="One trial in this number continues from each rung.")


class Pbt(Frozen):
    """Replaces trials that are behind by copies of those ahead, with some settings mutated.

    Trials do not start from shared predictors.
    """

    kind: Literal["pbt"] = Field(default="pbt", description="Population-based training.")
    interval_minutes: FiniteFloat | None = Field(
        default=None, gt=0, description="Training minutes between replacements. If omitted: a fraction of minutes."
    )
    quantile_fraction: FiniteFloat = Field(
        default=0.25, gt=0, le=0.5, description="Fraction of the trials that are replaced."
    )
    resample_probability: FiniteFloat = Field(
        default=0.25, ge=0, le=1, description="Probability that a setting is drawn again instead of perturbed."
    )
    mutate: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Dimensions that are mutated during training. If omitted: all fields of stages that are not a "
        "grid and are not part of a condition.",
    )


class Median(Frozen):
    """Stops trials early that are worse than the median of the others at the same training time."""

    kind: Literal["median"] = Field(default="median", description="Median stopping rule.")
    grace_minutes: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="Training minutes before a trial may be stopped. If omitted: a fraction of minutes.",
    )
    minimum_trials: int = Field(default=3, ge=1, description="Minimum number of trials for a median.")


class NoScheduler(Frozen):
    """Every trial runs to its end."""

    kind: Literal["none"] = Field(default="none", description="No trial is stopped early.")


class RandomSearch(Frozen):
    """Draws all trials at random before the first one starts, for every point of the grid."""

    kind: Literal["random"] = Field(default="random", description="Random search.")


class OptunaSearch(Frozen):
    """Draws trials one after another with Optuna's TPE sampler, also for several metrics."""

    kind: Literal["optuna"] = Field(default="optuna", description="Search by Optuna.")
    startup_trials: int = Field(default=10, ge=1, description="Number of random trials before Optuna's model is used.")


Scheduler = Annotated[Asha | Pbt | Median | NoScheduler, Field(discriminator="kind")]

Search = Annotated[RandomSearch | OptunaSearch, Field(discriminator="kind")]
