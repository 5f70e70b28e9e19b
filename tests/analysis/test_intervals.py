"""What several seeds say together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mosim_analysis.importance import importance
from mosim_analysis.statistics import bootstrap, interquartile_mean, log_median, pareto_front, ratio
from mosim_analysis.summaries import over_runs, thinned, thinned_steps


def test_the_interquartile_mean_is_that_of_scipy_and_so_of_rliable() -> None:
    draw = np.random.default_rng(0)
    for count in (1, 2, 3, 4, 5, 8, 11, 40):
        values = draw.normal(size=(count, 3))
        np.testing.assert_allclose(interquartile_mean(values), stats.trim_mean(values, 0.25, axis=0))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 3.0),
        ([1.0, 100.0], 10.0),
        ([1.0, 7.0, 1e6], 7.0),
        ([1.0, 4.0, np.inf], 4.0),
        ([1.0, np.inf, np.inf], np.inf),
        ([np.inf, np.inf], np.inf),
        ([0.0, 0.0, 5.0], 0.0),
    ],
)
def test_the_median_is_that_of_logarithms_and_knows_infinity(values: list[float], expected: float) -> None:
    assert log_median(np.array(values)) == pytest.approx(expected)


def test_the_bootstrap_s_interval_of_known_data() -> None:
    # Of three, the median lies at either end in 7 of 27 resamples, so the interval reaches from end to end.
    three = bootstrap(np.array([1.0, 2.0, 8.0]))
    assert (three.value, three.low, three.high) == pytest.approx((2.0, 1.0, 8.0))
    # Of a hundred, by order statistics, it reaches from about the 40th to the 61st.
    hundred = bootstrap(np.arange(1.0, 101.0))
    assert hundred.value == pytest.approx(np.sqrt(50 * 51))
    assert 38 <= hundred.low <= 43
    assert 58 <= hundred.high <= 63
    one = bootstrap(np.array([[5.0, 6.0]]))
    assert (one.low == one.high).all()


def test_the_bootstrap_is_the_same_each_time_and_agrees_with_scipy_s() -> None:
    values = np.random.default_rng(1).lognormal(size=30)
    ours = bootstrap(values, interquartile_mean)
    assert ours.low == bootstrap(values, interquartile_mean).low
    theirs = stats.bootstrap(
        (values,), lambda sample, axis: stats.trim_mean(sample, 0.25, axis=axis), n_resamples=5000, method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.08)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=12))
def test_the_middle_lies_within_its_interval(values: list[float]) -> None:
    interval = bootstrap(np.array(values), resamples=200)
    assert interval.low <= interval.value * (1 + 1e-9)
    assert interval.value <= interval.high * (1 + 1e-9)
    assert min(values) * (1 - 1e-9) <= interval.low
    assert interval.high <= max(values) * (1 + 1e-9)


def test_a_ratio_tells_seeds_apart_only_where_they_do_not_overlap() -> None:
    apart = ratio(np.array([1.0, 1.1, 1.2]), np.array([2.0, 2.2, 2.4]))
    assert apart.value == pytest.approx(2.0)
    assert apart.low == pytest.approx(2.0 / 1.2)
    mixed = ratio(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 3.5]))
    assert mixed.low < 1 < mixed.high


def test_the_pareto_front_is_what_nothing_beats() -> None:
    cost = np.array([1.0, 2.0, 3.0, 2.0, 1.0, np.nan, 0.5])
    gain = np.array([1.0, 5.0, 4.0, 4.0, 1.0, 9.0, np.inf])
    assert pareto_front(cost, gain).tolist() == [True, True, False, False, True, False, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_whatever_is_not_on_the_front_is_beaten_by_what_is(points: list[tuple[int, int]]) -> None:
    cost, gain = np.array(points, float).T
    front = pareto_front(cost, gain)
    assert front.any()
    for index in np.flatnonzero(~front):
        assert ((cost[front] <= cost[index]) & (gain[front] >= gain[index])).any()


def test_runs_that_share_places_are_told_there_and_others_between_them() -> None:
    rows = [
        *(
            {"run": run, "group": "a", "x": x, "y": scale * x}
            for run, scale in (("1", 1.0), ("2", 4.0))
            for x in (1, 10)
        ),
        *({"run": "3", "group": "b", "x": x, "y": 1.0} for x in (1, 10)),
        *({"run": run, "group": "c", "x": x, "y": 7.0} for run, xs in (("4", (0, 8)), ("5", (2, 12))) for x in xs),
    ]
    summary = over_runs(pd.DataFrame(rows), "x", "y")
    assert set(summary["group"]) == {"a", "c"}, "b has one run"
    a, c = (summary[summary["group"] == group] for group in ("a", "c"))
    assert a["x"].tolist() == [1, 10]
    np.testing.assert_allclose(a["middle"], [2, 20])
    assert (c["x"].min(), c["x"].max()) == (2, 8)
    np.testing.assert_allclose(c["middle"], 7.0)


def test_thinning_keeps_the_standard_horizons_and_the_ends_of_stages() -> None:
    assert {1, 3, 16, 100, 1000} <= set(thinned_steps(1000))
    assert len(thinned_steps(1000)) < 80
    steps = np.arange(1000)
    frame = pd.DataFrame({"run": "a", "step": steps, "stage": (steps > 333).astype(int)})
    kept = thinned(frame, "step", 50)
    assert len(kept) < 60
    assert {0, 333, 999} <= set(kept["step"])


def test_the_setting_that_matters_is_found() -> None:
    draw = np.random.default_rng(0)
    rate = 10 ** draw.uniform(-4, -2, 40)
    trials = pd.DataFrame(
        {
            "rate": rate,
            "width": draw.choice([32, 64], 40),
            "kind": draw.choice(["soap", "adam"], 40),
            "sometimes": np.where(np.arange(40) % 2, 1.0, np.nan),
            "mse": rate**2,
        }
    )
    found = importance(trials, ["rate", "width", "kind", "sometimes"])
    assert found.shares.index[0] == "rate"
    assert found.shares["rate"] > 0.8
    assert found.shares.sum() == pytest.approx(1.0)
    assert found.left_out == ("sometimes",)
    assert "too few" in importance(trials.head(3), ["rate"]).excuse
    assert (
        "no setting is set in all trials and differs between them"
        in importance(trials.assign(rate=1.0), ["rate"]).excuse
    )
