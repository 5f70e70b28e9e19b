"""Ray Tune's schedulers, as a sweep's file names them."""

import contextlib
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from mosim.experiments.sweep import (
    FAILURE,
    FINISHED,
    SINCE_SECONDS,
    TRAIN_SECONDS,
    Asha,
    Median,
    Pbt,
    SimulatorPlan,
    Sweep,
    SweepPlan,
)
from mosim.experiments.tune.searchers import DRAW
from mosim.experiments.tune.tune_state import written_reports

_GRACE_SHARE = 0.2
_INTERVAL_SHARE = 0.1
"""Of a trial's training: what it gets for certain, and what lies between two replacements."""

_CHECKPOINTS_KEPT = 4
"""A trial's. Whenever one has made so many, Tune writes its own state down, which takes a large sweep's time."""

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
        return EqualMedian(
            time_attr=TRAIN_SECONDS,
            grace_period=60 * (scheduler.grace_minutes or _GRACE_SHARE * minutes),
            min_samples_required=scheduler.minimum_trials,
            min_time_slice=math.inf,  # pyright: ignore[reportArgumentType] No trial pauses until others catch up.
        )
    if isinstance(scheduler, Pbt) and isinstance(plan, SimulatorPlan):
        return AlikeTraining(plan, scheduler, _interval_seconds(plan.sweep, scheduler))
    return FIFOScheduler()


def checkpoints_kept(sweep: Sweep) -> int:
    """How many checkpoints of a trial must be there at a time."""
    if not isinstance(sweep.scheduler, Pbt):
        return _CHECKPOINTS_KEPT
    # A trial that is to take over another one's waits for its turn, while that one goes on for up to two intervals.
    return _CHECKPOINTS_KEPT + 2 * math.ceil(_interval_seconds(sweep, sweep.scheduler) / sweep.report_seconds)


def _interval_seconds(sweep: Sweep, pbt: Pbt) -> float:
    return 60 * (pbt.interval_minutes or _INTERVAL_SHARE * (sweep.minutes or 0.0))


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

    def recall(self, trial: Trial, reports: Iterable[Mapping[str, Any]]) -> None:
        """Puts a trial where it has been before the sweep was interrupted."""
        for report in reports:
            self.on_trial_result(None, trial, report)


class EqualMedian(MedianStoppingRule):
    """The median stopping rule, which can be told of earlier reports."""

    def recall(self, trial: Trial, reports: Iterable[Mapping[str, Any]]) -> None:
        """Has a trial count with what it reported before the sweep was interrupted."""
        self._results[trial].extend(reports)


class Recollection(Callback):
    """Tells a scheduler, of which Tune keeps nothing, what trials had come to when the sweep was interrupted."""

    def __init__(self, scheduler: EqualHalving | EqualMedian, storage: str) -> None:
        """`storage` is the sweep's."""
        self._scheduler, self._storage, self._told = scheduler, storage, False

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """See `Callback`; before the first step all trials are there that there were."""
        if self._told:
            return
        self._told = True
        for trial in trials:
            # What came after the report that Tune has kept comes again.
            last = (trial.last_result or {}).get(TRAIN_SECONDS, -math.inf)
            reports = written_reports(self._storage, trial.trial_id)
            if kept := [report for report in reports if report[TRAIN_SECONDS] <= last]:
                self._scheduler.recall(trial, kept)


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

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """See `TrialScheduler`; a trial that is through is replaced no more, and nobody takes over its end."""
        if result.get(FINISHED) and FAILURE not in result:
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def _checkpoint_or_exploit(
        self, trial: Trial, tune_controller: Any, upper_quantile: list[Trial], lower_quantile: list[Trial]
    ) -> None:
        mine = self._plan.architecture(trial.config[DRAW])
        alike = [each for each in upper_quantile if self._plan.architecture(each.config[DRAW]) == mine]
        # Without one ahead of it that is like it, a trial goes on as it is.
        behind = lower_quantile if alike else [each for each in lower_quantile if each is not trial]
        with _seeded(f"{self._plan.sweep.seed}, {self._num_perturbations}"):
            super()._checkpoint_or_exploit(trial, tune_controller, alike or upper_quantile, behind)


@contextlib.contextmanager
def _seeded(seed: str) -> Iterator[None]:
    """Seeds Python's own generator for the block; it is what Tune's scheduler draws by."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
