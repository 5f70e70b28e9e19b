"""Ray Tune's schedulers and searchers, as a sweep's file names them."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch as TuneOptunaSearch

from mosim.sweeps.plan import SimulatorPlan, SweepPlan
from mosim.sweeps.reports import TRAIN_SECONDS
from mosim.sweeps.space import Space
from mosim.sweeps.strategies import Asha, Median, OptunaSearch, Pbt

DRAW = "draw"
"""The key of a trial's settings in Tune's config."""

_GRACE_SHARE = 0.2
_INTERVAL_SHARE = 0.1
"""Of a trial's training: what it gets for certain, and what lies between two replacements."""


def make_scheduler(plan: SweepPlan) -> TrialScheduler:
    """The scheduler of a sweep, which compares trials at equal seconds of training."""
    sweep, scheduler = plan.sweep, plan.sweep.scheduler
    minutes = sweep.minutes or 0.0
    if isinstance(scheduler, Asha):
        return AsyncHyperBandScheduler(
            time_attr=TRAIN_SECONDS,
            max_t=60 * minutes,  # pyright: ignore[reportArgumentType]
            grace_period=60 * (scheduler.grace_minutes or _GRACE_SHARE * minutes),  # pyright: ignore[reportArgumentType]
            reduction_factor=scheduler.reduction_factor,
            stop_last_trials=False,  # They are about to end by themselves, and may have seeds to finish.
        )
    if isinstance(scheduler, Median):
        return MedianStoppingRule(
            time_attr=TRAIN_SECONDS,
            grace_period=60 * (scheduler.grace_minutes or _GRACE_SHARE * minutes),
            min_samples_required=scheduler.minimum_trials,
        )
    if isinstance(scheduler, Pbt) and isinstance(plan, SimulatorPlan):
        return AlikeTraining(plan, scheduler, 60 * (scheduler.interval_minutes or _INTERVAL_SHARE * minutes))
    return FIFOScheduler()


class AlikeTraining(PopulationBasedTraining):
    """Population-based training in which a trial takes over weights of its own architecture alone."""

    def __init__(self, plan: SimulatorPlan, settings: Pbt, interval_seconds: float) -> None:
        self._plan = plan
        super().__init__(
            time_attr=TRAIN_SECONDS,
            perturbation_interval=interval_seconds,
            burn_in_period=interval_seconds,
            hyperparam_mutations={DRAW: plan.space.mutations(plan.sweep.mutated)},
            quantile_fraction=settings.quantile_fraction,
            resample_probability=settings.resample_probability,
            # Tune moves a setting by a factor, which may lead out of the space.
            custom_explore_fn=lambda config: {**config, DRAW: plan.space.bounded(config[DRAW])},
        )

    def _checkpoint_or_exploit(
        self, trial: Trial, tune_controller: Any, upper_quantile: list[Trial], lower_quantile: list[Trial]
    ) -> None:
        mine = self._plan.architecture(trial.config[DRAW])
        alike = [each for each in upper_quantile if self._plan.architecture(each.config[DRAW]) == mine]
        # Without one ahead of it that is like it, a trial goes on as it is.
        behind = lower_quantile if alike else [each for each in lower_quantile if each is not trial]
        super()._checkpoint_or_exploit(trial, tune_controller, alike or upper_quantile, behind)


def make_searcher(plan: SweepPlan) -> Searcher | None:
    """The searcher of a sweep; None where all trials are drawn beforehand."""
    search, sweep = plan.sweep.search, plan.sweep
    if not isinstance(search, OptunaSearch):
        return None
    from optuna.samplers import TPESampler

    several = len(sweep.metric) > 1
    return TuneOptunaSearch(
        space=_Suggestion(plan.space),  # pyright: ignore[reportArgumentType]
        metric=list(sweep.metric) if several else sweep.metric[0],  # pyright: ignore[reportArgumentType]
        mode=list(sweep.modes) if several else sweep.modes[0],  # pyright: ignore[reportArgumentType]
        sampler=TPESampler(
            n_startup_trials=search.startup_trials, seed=sweep.seed, multivariate=True, group=True, constant_liar=True
        ),
    )


class _Suggestion:
    """A space as Optuna asks for it through Tune, which makes a mapping `draw` of names that begin with `draw/`."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def __call__(self, trial: Any) -> None:
        self._space.suggest(_Prefixed(trial))


class _Prefixed:
    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> float:
        return self._trial.suggest_float(f"{DRAW}/{name}", low, high, **options)

    def suggest_int(self, name: str, low: int, high: int, **options: Any) -> int:
        return self._trial.suggest_int(f"{DRAW}/{name}", low, high, **options)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._trial.suggest_categorical(f"{DRAW}/{name}", choices)
