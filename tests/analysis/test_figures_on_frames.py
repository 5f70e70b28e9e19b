"""Each figure, on a frame as its docstring says."""

from typing import Any, cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from mosim_analysis import figures, names
from mosim_analysis.importance import importance

HORIZONS = (1, 3, 16, 100)


def curve(run: str, group: str | None, scale: float, model: str = "mosim", steps: int = 100) -> pd.DataFrame:
    step = np.arange(1, steps + 1)
    frame = pd.DataFrame({"step": step, "mse": scale * step})
    return frame.assign(run=run, name=f"run {run}", group=group, sweep="", model=model)


def drawn(figure: go.Figure) -> list[Any]:
    """Its traces, which plotly does not type."""
    return list(cast("tuple[Any, ...]", figure.data))


def traces(figure: go.Figure, **meta: object) -> list[Any]:
    """Traces whose `meta` has these."""
    return [
        trace for trace in drawn(figure) if all((trace.meta or {}).get(key) == value for key, value in meta.items())
    ]


@pytest.fixture
def curves() -> pd.DataFrame:
    return pd.concat(
        [
            *(curve(f"a{seed}", "a", 1e-6 * 2**seed) for seed in range(3)),
            curve("b0", "b", 1e-3),
            curve("base", None, 0.1, names.PERSISTENCE),
            curve("base", None, 1e-12, names.CHAOS_FLOOR),
        ],
        ignore_index=True,
    )


def test_horizon_curves_have_runs_a_median_its_interval_and_the_baselines(curves: pd.DataFrame) -> None:
    figure = figures.horizon_curves(curves)
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    lines = traces(figure, group=None)
    assert [trace.name for trace in lines] == [names.MODELS[names.PERSISTENCE], names.MODELS[names.CHAOS_FLOOR]]
    band, middle = traces(figure, group="a", runs=False)
    np.testing.assert_allclose(middle.y, 2e-6 * np.array(middle.x))
    lowest, highest = band.y[: len(middle.x)], band.y[len(middle.x) :][::-1]
    np.testing.assert_allclose(lowest, 1e-6 * np.array(middle.x))
    np.testing.assert_allclose(highest, 4e-6 * np.array(middle.x))
    assert set(HORIZONS) <= set(middle.x)
    assert not traces(figure, group="b", runs=False), "one run has no median"
    [runs] = traces(figure, group="a", runs=True)
    assert {run for _, run in runs.customdata} == {"a0", "a1", "a2"}
    assert runs.y.count(None) == 3, "a gap after each run"
    assert figure.to_plotly_json()["data"]


def test_a_run_that_diverges_ends_in_a_cross(curves: pd.DataFrame) -> None:
    curves.loc[(curves["run"] == "b0") & (curves["step"] > 16), "mse"] = np.inf
    figure = figures.horizon_curves(curves)
    [cross] = [trace for trace in drawn(figure) if trace.marker.symbol == "x"]
    assert (cross.x, cross.y) == ((16,), (pytest.approx(0.016),))
    assert "diverges" in cross.text[0]


def test_trials_of_a_sweep_have_no_median(curves: pd.DataFrame) -> None:
    figure = figures.horizon_curves(curves.assign(sweep=np.where(curves["group"] == "a", "search", "")))
    assert not traces(figure, group="a", runs=False)


def test_a_name_with_markup_in_it_is_text(curves: pd.DataFrame) -> None:
    odd = curves.assign(name="<b>run</b>", group=curves["group"].replace("a", "<i>a</i>"))
    figure = figures.horizon_curves(odd)
    assert "&lt;b&gt;run" in str(figure.to_json())
    hovers = [trace.hovertemplate for trace in drawn(figure) if trace.hovertemplate]
    assert not any("<i>a" in hover for hover in hovers)


def test_the_heat_map_is_the_median_over_runs_in_the_state_s_order() -> None:
    rows = [
        {"run": f"{group}{seed}", "group": group, "dimension": f"{place:02d} {name}", "horizon": horizon, "mse": mse}
        for group, level in (("a", 1e-6), ("b", 1e-2))
        for seed in range(3)
        for horizon in HORIZONS
        for place, name in enumerate(["qpos/x", "qvel/x"])
        for mse in [level * 10**seed * horizon * (place + 1)]
    ]
    figure = figures.dimension_errors(pd.DataFrame(rows))
    [heat] = drawn(figure)
    assert (heat.x, heat.y) == (("a", "b"), ("qpos/x", "qvel/x"))
    np.testing.assert_allclose(np.array(heat.z, float), np.log10([[1e-3, 10], [2e-3, 20]]))
    assert heat.meta["columns"] == ["a", "b"]
    shown = figures.dimension_errors(pd.DataFrame(rows), horizon=16)
    np.testing.assert_allclose(np.array(drawn(shown)[0].z, float)[0, 0], np.log10(16e-5))


def test_losses_have_a_diamond_where_a_stage_ends() -> None:
    step = np.arange(100, 1100, 100)
    rows = [
        pd.DataFrame(
            {"step": step, "stage": (step > 500).astype(float), "loss": np.exp(-step / 300), "run": f"a{seed}"}
        ).assign(name=f"run {seed}", group="a", sweep="", stage_name=np.where(step > 500, "corrector", "predictor"))
        for seed in range(2)
    ]
    figure = figures.loss_curves(pd.concat(rows))
    [ends] = [trace for trace in drawn(figure) if trace.marker.symbol == "diamond" and trace.mode == "markers"]
    assert ends.x == (500, 500)
    assert ends.text[0] == "end of stage 0 predictor"
    assert [run for _, run in ends.customdata] == ["a0", "a1"]


@pytest.mark.parametrize("cost", ["samples", "seconds"])
def test_error_is_drawn_over_what_it_cost(cost: str) -> None:
    frame = pd.DataFrame({"run": "a", "name": "run", "group": "a", "samples": [1e3, 1e4], "seconds": [2.0, 20.0]})
    figure = figures.error_over_cost(frame.assign(error=[1e-2, 1e-4]), cost, 16)
    [trace] = drawn(figure)
    assert trace.x[:2] == tuple(frame[cost])
    assert trace.y[:2] == (1e-2, 1e-4)
    assert figure.layout.xaxis.title.text == names.LABELS[cost]


def test_speed_and_error_have_a_pareto_front() -> None:
    frame = pd.DataFrame({"run": list("abc"), "name": list("abc"), "group": list("xxy")})
    frame = frame.assign(speed=[1e4, 1e5, 5e4], mse=[1e-6, 1e-3, 1e-2])
    figure = figures.error_over_speed(frame, 100)
    [front] = traces(figure, group=None)
    assert (front.x, front.y) == ((1e4, 1e4, 1e5), (1e-6, 1e-3, 1e-3))
    [points] = traces(figure, group="x")
    assert points.text == ("<br>on the Pareto front",) * 2
    [beaten] = traces(figure, group="y")
    assert beaten.text == ("",)


def test_returns_show_the_gap_between_simulated_and_true() -> None:
    steps = np.array([1e5, 2e5, 3e5])
    rows = [
        pd.DataFrame({"step": steps, "true": 100.0 * seed + steps / 1e3, "simulated": 100.0 * seed + steps / 1e3 + gap})
        .assign(run=f"r{seed}", name=f"run {seed}", group="a", policy=policy)
        for seed in range(5)
        for policy, gap in ((names.ZERO_SHOT, 40.0), (names.TRUE_TRAINED, 0.0))
    ]  # fmt: skip
    figure = figures.returns_against_truth(pd.concat(rows), random_return=52.0)
    [gap] = [trace for trace in drawn(figure) if (trace.meta or {}).get("caption", "").startswith("shaded")]
    upper, lower = np.array(gap.y[:3]), np.array(gap.y[3:][::-1])
    np.testing.assert_allclose(upper - lower, 40.0)
    # The interquartile mean of five leaves the lowest and the highest out.
    np.testing.assert_allclose(lower, 200 + steps / 1e3)
    [chance] = traces(figure, group=None)
    assert set(chance.y) == {52.0}
    dashes = {trace.line.dash for trace in traces(figure, group="a", runs=False) if not trace.fill}
    assert dashes == {"solid", "dash", "dot"}


@pytest.fixture
def trials() -> pd.DataFrame:
    rate = np.geomspace(1e-4, 1e-1, 10)
    return pd.DataFrame(
        {
            "run": [f"t{number}" for number in range(10)],
            "name": [f"trial {number}" for number in range(10)],
            "group": "search",
            "stages.0.learning_rate": rate,
            "optimizer": ["soap", "adam"] * 5,
            "width": [64.0, np.nan] * 5,
            "mse": rate**2,
        }
    )


def test_parallel_coordinates_lead_each_trial_through_its_settings(trials: pd.DataFrame) -> None:
    settings = ["stages.0.learning_rate", "optimizer", "width"]
    figure = figures.parallel_coordinates(trials, settings, 100)
    lines = {
        run: np.array(trace.y[start : start + 4], float)
        for trace in drawn(figure)
        for start, (_, run) in enumerate(trace.customdata)
        if start % 5 == 0
    }
    assert set(lines) == set(trials["run"])
    np.testing.assert_allclose(lines["t0"], [0, 1, 0.5, 0])  # Lowest rate, soap, the only width, lowest error.
    np.testing.assert_allclose(lines["t9"], [1, 0, -0.09, 1])  # Highest rate, adam, no width.
    assert "not set" in {annotation.text for annotation in figure.layout.annotations}
    assert list(figure.layout.xaxis.ticktext) == [
        "<b>learning_rate</b>", "<b>optimizer</b>", "<b>width</b>", "<b>error at 100</b>",
    ]  # fmt: skip
    said = [text for trace in drawn(figure) for text in trace.text]
    assert any("learning_rate: 0.0001" in text for text in said)


def test_importances_are_bars_with_the_largest_on_top(trials: pd.DataFrame) -> None:
    found = importance(trials, ["stages.0.learning_rate", "optimizer"])
    [bars] = drawn(figures.importances(found))
    assert bars.y[-1] == "stages.0.learning_rate"
    assert sum(bars.x) == pytest.approx(1.0)


def test_colours_are_the_same_in_every_picture() -> None:
    styles = names.styles(["a", "b", "c"])
    assert names.styles(["a", "b", "c", "d"])["b"] == styles["b"]
    many = names.styles(map(str, range(24)))
    assert len({(style.colour, style.dash) for style in many.values()}) == 24
    reserved = {style.colour for style in names.BASELINES.values()}
    assert not reserved & {style.colour for style in many.values()}
