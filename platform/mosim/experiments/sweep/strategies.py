"""How trials are drawn, and which of them end early."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from mosim.core.frozen import Frozen


class Asha(Frozen):
    """Stops trials early that are behind others at the same training time."""

    kind: Literal["asha"] = Field(default="asha", description="Asynchronous successive halving.")
    grace_minutes: FiniteFloat | None = Field(
        default=None, gt=0, description="Training time that every trial gets; by default a share of minutes."
    )
    reduction_factor: int = Field(default=3, ge=2, description="One trial in so many goes on from each rung.")


class Pbt(Frozen):
    """Replaces trials that are behind by copies of those ahead, with some settings mutated.

    Trials do not start from shared predictors.
    """

    kind: Literal["pbt"] = Field(default="pbt", description="Population-based training.")
    interval_minutes: FiniteFloat | None = Field(
        default=None, gt=0, description="Training time between replacements; by default a share of minutes."
    )
    quantile_fraction: FiniteFloat = Field(default=0.25, gt=0, le=0.5, description="Share of the trials replaced.")
    resample_probability: FiniteFloat = Field(
        default=0.25, ge=0, le=1, description="Of drawing a setting afresh, where else it is moved."
    )
    mutate: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Dimensions that change during training; by default all that are fields of stages, are no grid, "
        "and have to do with no condition.",
    )


class Median(Frozen):
    """Stops trials early that are worse than the median of the others at the same training time."""

    kind: Literal["median"] = Field(default="median", description="The median stopping rule.")
    grace_minutes: FiniteFloat | None = Field(
        default=None, gt=0, description="Training time that every trial gets; by default a share of minutes."
    )
    minimum_trials: int = Field(default=3, ge=1, description="Trials that a median is taken of.")


class NoScheduler(Frozen):
    """Every trial runs to its end."""

    kind: Literal["none"] = Field(default="none", description="No trial ends early.")


class RandomSearch(Frozen):
    """Trials are drawn before the first starts, at every point of the grid."""

    kind: Literal["random"] = Field(default="random", description="Draws at random.")


class OptunaSearch(Frozen):
    """Trials are drawn one after another, from where good ones have been: TPE, and for several metrics too."""

    kind: Literal["optuna"] = Field(default="optuna", description="Draws by Optuna.")
    startup_trials: int = Field(default=10, ge=1, description="Trials drawn at random before any is modelled.")


Scheduler = Annotated[Asha | Pbt | Median | NoScheduler, Field(discriminator="kind")]

Search = Annotated[RandomSearch | OptunaSearch, Field(discriminator="kind")]
