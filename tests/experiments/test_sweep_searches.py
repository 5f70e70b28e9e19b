"""Whole sweeps of a few short trials: by Optuna, of a population, and with trials that end early."""

import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from mosim.experiments.sweep import SweepPlan, plan_sweep, read_sweep
from mosim.experiments.sweep.reports import SINCE_SECONDS, TRAIN_SECONDS
from mosim.experiments.tune import TrialEvent, TrialResult, best_first, pareto_front, run_sweep, trial_table
from mosim.experiments.tune.tune_state import written_reports
from mosim.training import read_checkpoint

ALONE = {"model.correctors": [], "stages": [{"name": "alone", "learns": ["predictor"], "minutes": 1}]}

CONDITIONAL = {
    "structure": {"choice": {"two": {}, "one": ALONE}},
    "stages.1.learning_rate": {"loguniform": [0.001, 0.01], "when": {"structure": "two"}},
}


@pytest.fixture
def swept(tmp_path: Path, tiny_sweep: dict[str, Any], pendulum_data: Path, ray_of_two: None) -> Any:
    """Runs `tiny_sweep` with changes, and returns its plan, its results, and the reports of each trial as events."""

    def run(**changes: Any) -> tuple[SweepPlan, list[TrialResult], dict[str, list[TrialEvent]]]:
        sweep = {**tiny_sweep, "budget": {"trials": 4}, "minutes": 0.03} | changes
        file = tmp_path / "sweep.yaml"
        file.write_text(yaml.safe_dump(sweep, sort_keys=False))
        plan = plan_sweep(read_sweep(file), file)
        plan.check()
        events: dict[str, list[TrialEvent]] = {}

        def note(each: TrialEvent) -> None:
            events.setdefault(each.trial, []).extend([each] if each.kind == "reported" else [])

        on_interrupt = signal.getsignal(signal.SIGINT)
        results = run_sweep(plan, str(tmp_path / "storage"), dataset=str(pendulum_data), on_event=note)
        assert signal.getsignal(signal.SIGINT) is on_interrupt
        return plan, results, events

    return run


@pytest.mark.slow
def test_optuna_draws_what_exists_and_halving_has_its_metric(swept: Any) -> None:
    search, scheduler = {"kind": "optuna", "startup_trials": 2}, {"kind": "asha", "grace_minutes": 0.01}
    plan, results, _ = swept(space=CONDITIONAL, search=search, scheduler=scheduler)
    assert [bool(result.failure) for result in results] == [False] * 4
    assert {result.status for result in results} <= {"finished", "stopped early"}
    assert "finished" in {result.status for result in results}
    for result in results:
        two = result.draw["structure"] == "two"
        assert ("stages.1.learning_rate" in result.draw) == two
        assert not two or 0.001 <= result.draw["stages.1.learning_rate"] <= 0.01
    assert len(best_first(results, plan.sweep)) == 4


@pytest.mark.slow
def test_of_several_metrics_the_front_comes_first_in_the_table(swept: Any) -> None:
    metrics = ["horizon_mse/16", "rollout_steps_per_second"]
    plan, results, _ = swept(space=CONDITIONAL, search={"kind": "optuna", "startup_trials": 2}, metric=metrics)
    assert [result.status for result in results] == ["finished"] * 4
    front = pareto_front(results, plan.sweep)
    table = trial_table(results, plan.sweep)
    assert table["trial"].tolist()[: len(front)] == [result.trial for result in front]
    errors, speeds = (table[metric].tolist() for metric in metrics)
    assert min(errors) == errors[0]
    assert max(speeds) == max(speeds[: len(front)])


@pytest.mark.slow
def test_the_median_of_others_stops_trials_and_pauses_none(swept: Any) -> None:
    scheduler = {"kind": "median", "grace_minutes": 0.01, "minimum_trials": 2}
    rates = {"stages.0.learning_rate": {"grid": [0.003, 0.002, 1e-9, 2e-9]}}
    _, results, events = swept(space=rates, scheduler=scheduler, budget={})
    assert not any(result.failure for result in results)
    assert "finished" in {result.status for result in results}
    for result in results:
        seconds = [each.report[TRAIN_SECONDS] for each in events[result.trial]]
        assert len(set(seconds)) == len(seconds), "nothing is trained again"


@pytest.mark.slow
def test_a_population_goes_on_from_those_ahead_under_other_settings(swept: Any, tmp_path: Path) -> None:
    # One trial at a time, so that they take turns, whatever the machine does; the first takes over from the second.
    plan, results, events = swept(
        space={
            "stages.0.learning_rate": {"choice": [1e-9, 0.003]},
            "stages.1.learning_rate": {"loguniform": [1e-9, 1e-8]},
        },
        set={"stages.0.patience": 1, "stages.1.patience": 1},
        scheduler={"kind": "pbt", "interval_minutes": 0.02, "quantile_fraction": 0.5},
        budget={"trials": 2},
        resources={"cpu": 2},
        minutes=0.2,
        report_seconds=0.2,
        seed=1,
    )
    assert [result.status for result in results] == ["finished"] * 2, [result.failure for result in results]
    for result in results:
        assert plan.space.bounded(result.draw) == result.draw
        recipe = read_checkpoint(Path(f"{result.checkpoint}/seed-0")).recipe
        for stage in (0, 1):
            assert recipe["stages"][stage]["learning_rate"] == result.draw[f"stages.{stage}.learning_rate"]
    written = {result.trial: written_reports(str(tmp_path / "storage"), result.trial) for result in results}
    seconds = {trial: [each[TRAIN_SECONDS] for each in reports] for trial, reports in written.items()}
    assert seconds == {trial: [each.report[TRAIN_SECONDS] for each in told] for trial, told in events.items()}
    replaced = [result for result in results if result.draw not in plan.draws()]
    assert replaced
    for result in replaced:
        mine = written[result.trial]
        first = next(index for index, each in enumerate(mine) if each["config"]["draw"] == result.draw)
        others = {each for trial, told in seconds.items() if trial != result.trial for each in told}
        since = mine[first][SINCE_SECONDS]
        assert since in others - set(seconds[result.trial][:first]), "it goes on from where another one was"
        assert since < mine[first][TRAIN_SECONDS], "and trains with the new settings"
