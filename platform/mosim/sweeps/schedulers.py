"""Ray Tune's schedulers and searchers, as a sweep's file names them."""

import math
from collections.abc import Mapping
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
from mosim.sweeps.reports import FAILURE, SINCE_SECONDS, TRAIN_SECONDS
from mosim.sweeps.space import Space
from mosim.sweeps.strategies import Asha, Median, OptunaSearch, Pbt

DRAW = "draw"
"""The key of a trial's settings in Tune's config."""

_GRACE_SHARE = 0.2
_INTERVAL_SHARE = 0.1
"""Of a trial's training: what it gets for certain, and what lies between two replacements."""

_WORST = 1e300
"""Stands for a metric that is infinite, of which no percentile can be taken."""


def make_scheduler(plan: SweepPlan) -> TrialScheduler:
    """The scheduler of a sweep, which compares trials at equal seconds of training."""
    sweep, scheduler = plan.sweep, plan.sweep.scheduler
    minutes = sweep.minutes or 0.0
    if isinstance(scheduler, Asha):
        return EqualHalving(
            60 * minutes, 60 * (scheduler.grace_minutes or _GRACE_SHARE * minutes), scheduler.reduction_factor
        )
    if isinstance(scheduler, Median):
        return MedianStoppingRule(
            time_attr=TRAIN_SECONDS,
            grace_period=60 * (scheduler.grace_minutes or _GRACE_SHARE * minutes),
            min_samples_required=scheduler.minimum_trials,
            min_time_slice=math.inf,  # pyright: ignore[reportArgumentType] No trial pauses until others catch up.
        )
    if isinstance(scheduler, Pbt) and isinstance(plan, SimulatorPlan):
        return AlikeTraining(plan, scheduler, 60 * (scheduler.interval_minutes or _INTERVAL_SHARE * minutes))
    return FIFOScheduler()


class EqualHalving(AsyncHyperBandScheduler):
    """Asynchronous successive halving in which a rung compares trials as each of them comes to it.

    A trial that starts from another one's predictor has the lower rungs behind it, where it would be compared with
    trials that have trained for less; it is judged from the next rung on. Trials that have failed are not compared.
    """

    def __init__(self, seconds: float, grace_seconds: float, reduction_factor: int) -> None:
        """Rungs are at `grace_seconds` of training, and at powers of `reduction_factor` times these to `seconds`."""
        super().__init__(
            time_attr=TRAIN_SECONDS,
            max_t=seconds,  # pyright: ignore[reportArgumentType]
            grace_period=grace_seconds,  # pyright: ignore[reportArgumentType]
            reduction_factor=reduction_factor,
            stop_last_trials=False,  # They are about to end by themselves, and may have seeds to finish.
        )
        rungs = 1 + int(math.log(seconds / grace_seconds, reduction_factor))
        self._milestones = [grace_seconds * reduction_factor**rung for rung in range(rungs)]

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """See `TrialScheduler`."""
        since, now = result.get(SINCE_SECONDS, 0.0), result[TRAIN_SECONDS]
        if FAILURE in result or not any(since < milestone <= now for milestone in self._milestones):
            return TrialScheduler.CONTINUE
        metric = str(self.metric)
        score = min(max(result[metric], -_WORST), _WORST)
        return super().on_trial_result(tune_controller, trial, {**result, metric: score})

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Mapping[str, Any]) -> None:
        """See `TrialScheduler`; the last report has been judged when it came."""
        self.on_trial_remove(tune_controller, trial)


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
