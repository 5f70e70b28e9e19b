"""What a sweep has come to: an order, a front and a table, whatever its trials have reported."""

import itertools
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosim.experiments.sweep.config import Sweep
from mosim.experiments.tune.results import TrialResult, best_first, pareto_front, shown_draw, trial_table, write_trials

ERROR, SPEED = "horizon_mse/16", "rollout_steps_per_second"


def sweep(*metrics: str) -> Sweep:
    return Sweep.model_validate(
        {
            "name": "mine",
            "task": "pendulum-swingup",
            "space": {"model.bias.width": {"choice": [1, 2]}, "stages.0.learning_rate": {"uniform": [0, 1]}},
            "metric": list(metrics),
            "search": "optuna",
            "budget": {"trials": 3},
        }
    )


ONE, TWO = sweep(ERROR), sweep(ERROR, SPEED)


def result(trial: int, error: Any = 1.0, speed: Any = 1.0, failure: str = "", **changes: Any) -> TrialResult:
    report = {name: value for name, value in ((ERROR, error), (SPEED, speed)) if value is not None}
    status = "failed" if failure else "finished"
    return TrialResult.model_validate(
        {"trial": str(trial), "status": status, "draw": {}, "report": report, "failure": failure} | changes
    )


numbers = st.none() | st.sampled_from([0.0, 1.0, 2.0, math.inf, -math.inf, math.nan]) | st.floats(0, 3)
many = st.lists(st.tuples(numbers, numbers, st.sampled_from(["", "", "", "crashed: x"])), max_size=12).map(
    lambda each: [result(index, *values) for index, values in enumerate(each)]
)


def beats(one: TrialResult, other: TrialResult, wanted: Sweep) -> bool:
    """Whether it is nowhere worse and somewhere better."""
    mine, theirs = one.score(wanted), other.score(wanted)
    return all(a <= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs


@pytest.mark.parametrize("wanted", [ONE, TWO], ids=["one metric", "two"])
@given(results=many)
def test_the_front_is_what_nothing_beats_and_comes_first(results: list[TrialResult], wanted: Sweep) -> None:
    ranked, front = best_first(results, wanted), pareto_front(results, wanted)
    scored = [each for each in results if not each.failure and all(map(math.isfinite, each.score(wanted)))]
    assert sorted(map(id, ranked)) == sorted(map(id, scored)), "all that have a score, and each of them once"
    assert ranked[: len(front)] == front
    for each in scored:
        assert (each in front) == (not any(beats(other, each, wanted) for other in scored))
    assert [each.score(wanted)[0] for each in front] == sorted(each.score(wanted)[0] for each in front)
    for index, each in enumerate(ranked):
        assert not any(beats(later, each, wanted) for later in ranked[index + 1 :])


@pytest.mark.parametrize("wanted", [ONE, TWO], ids=["one metric", "two"])
@given(results=many)
def test_equals_stay_in_order_and_an_order_stays_what_it_is(results: list[TrialResult], wanted: Sweep) -> None:
    ranked = best_first(results, wanted)
    for one, next_one in itertools.pairwise(ranked):
        if one.score(wanted) == next_one.score(wanted):
            assert int(one.trial) < int(next_one.trial)
    assert best_first(ranked, wanted) == ranked


@given(results=many)
def test_a_table_has_a_row_a_trial_and_ranks_those_with_a_score(results: list[TrialResult]) -> None:
    table = trial_table(results, TWO)
    assert len(table) == len(results)
    ranked = best_first(results, TWO)
    if results:
        assert sorted(table["trial"]) == sorted(each.trial for each in results)
        assert table["rank"].dropna().tolist() == list(range(1, 1 + len(ranked)))
        assert table["trial"][: len(ranked)].tolist() == [each.trial for each in ranked]


def test_the_file_has_settings_metrics_and_failures_and_no_curves(tmp_path: Path) -> None:
    results = [
        result(0, 2.0, draw={"model.bias.width": 2}),
        result(1, 1.0, draw={"model.bias.width": 1, "stages.0.learning_rate": 0.5}),
        result(2, math.inf, None, "diverged: a, b\nand c", draw={"model.bias.width": 1}),
    ]
    results[1].report.update(horizon_curve=[1.0, 2.0], finished=True, train_seconds=12.3456789)
    write_trials(trial_table(results, ONE), tmp_path / "trials.csv")
    table = pd.read_csv(tmp_path / "trials.csv")
    columns = ["rank", "trial", "status", "model.bias.width", "stages.0.learning_rate", ERROR, SPEED]
    assert list(table.columns) == [*columns, "train_seconds", "failure"]
    assert table["rank"].tolist()[:2] == [1, 2]
    assert table["trial"].tolist() == [1, 0, 2]
    assert (table["train_seconds"][0], table["failure"][2]) == (12.3457, "diverged: a, b\nand c")
    assert table["stages.0.learning_rate"].isna().tolist() == [False, True, True]


def test_a_sweep_without_trials_has_an_empty_table(tmp_path: Path) -> None:
    write_trials(trial_table([], ONE), tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text().strip() == ""
    assert pareto_front([], TWO) == []


names = st.lists(st.sampled_from(["a", "b", "rate"]), min_size=1, max_size=4).map(".".join)


@given(st.lists(names, min_size=1, max_size=6, unique=True))
def test_settings_are_shown_by_names_that_tell_them_apart(chosen: list[str]) -> None:
    shown = [each.split(" ")[0] for each in shown_draw(dict.fromkeys(chosen, 1)).split(", ")]
    assert len(set(shown)) == len(chosen)
    for name, short in zip(chosen, shown, strict=True):
        assert f".{name}".endswith(f".{short}")


def test_a_setting_is_shown_by_the_end_of_its_name() -> None:
    draw = {"stages.0.learning_rate": 0.00123456, "stages.1.learning_rate": 0.01, "model.width": 8, "structure": "one"}
    assert shown_draw(draw) == "0.learning_rate 0.00123, 1.learning_rate 0.01, width 8, structure one"
