"""Where a sweep's trials come from: draws made beforehand, or Optuna's suggestions; Ray Tune asks for them.

Tune keeps the state of both, and restores it where a sweep is resumed. It restores how many trials there were to be,
too; here that is what the sweep's file says now.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter, SearchAlgorithm, SearchGenerator
from ray.tune.search.optuna import OptunaSearch as TuneOptunaSearch

from mosim.experiments.sweep import Draw, OptunaSearch, Space, SweepPlan

DRAW = "draw"
"""The key of a trial's settings in Tune's config."""


def make_searcher(plan: SweepPlan) -> SearchAlgorithm:
    """What gives a sweep its trials, as many at a time as its budget allows."""
    sweep = plan.sweep
    if not isinstance(sweep.search, OptunaSearch):
        return DrawnTrials(plan.draws(), sweep.budget.concurrent)
    from optuna.samplers import TPESampler

    several = len(sweep.metric) > 1
    searcher = TuneOptunaSearch(
        space=_Suggestion(plan.space),  # pyright: ignore[reportArgumentType]
        metric=list(sweep.metric) if several else sweep.metric[0],  # pyright: ignore[reportArgumentType]
        mode=list(sweep.modes) if several else sweep.modes[0],  # pyright: ignore[reportArgumentType]
        sampler=TPESampler(
            n_startup_trials=sweep.search.startup_trials,
            seed=sweep.seed,
            multivariate=True,
            group=True,
            constant_liar=True,
        ),
    )
    limit = sweep.budget.concurrent
    return SuggestedTrials(searcher if limit is None else ConcurrencyLimiter(searcher, limit), sweep.draw_count)


def trial_config(plan: SweepPlan) -> dict[str, Any]:
    """What `tune.run` takes as `config`: the draws that are made beforehand."""
    return {} if isinstance(plan.sweep.search, OptunaSearch) else {DRAW: tune.grid_search(plan.draws())}


class DrawnTrials(BasicVariantGenerator):
    """A trial for each of some draws, in their order; a resumed sweep goes on with draws that are added at the end."""

    def __init__(self, draws: Sequence[Draw], concurrent: int | None) -> None:
        """Takes all draws, and how many trials run at a time; None for as many as there is room for."""
        super().__init__(max_concurrent=concurrent or 0)
        self.draws = list(draws)
        self.experiment: Any = None

    def add_configurations(self, experiments: Any) -> None:
        """See `SearchAlgorithm`."""
        (self.experiment,) = experiments
        super().add_configurations(experiments)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores how far an earlier process has come."""
        draws, concurrent = self.draws, self.max_concurrent
        super().set_state(state)
        more, self.max_concurrent = draws[len(self.draws) :], concurrent
        self._finished = False  # Where time was up, or where there are more draws now.
        self.draws = draws
        if more:
            experiment = copy.copy(self.experiment)
            config = experiment.spec["config"] | {DRAW: tune.grid_search(more)}
            experiment.spec = experiment.spec | {"config": config}
            super().add_configurations([experiment])


class SuggestedTrials(SearchGenerator):
    """Trials that a searcher suggests one after the other, up to a number of them."""

    def __init__(self, searcher: Any, count: int) -> None:
        """Takes the searcher, and how many trials there are to be."""
        super().__init__(searcher)
        self._count = count

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores how far an earlier process has come."""
        super().set_state({**state, "total_samples": self._count, "finished": False})


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
