"""What the page says in words: the headline, and which parameters differ."""

import numpy as np
import pandas as pd
import pytest

from mosim_analysis import names
from mosim_analysis.differences import differences
from mosim_analysis.headline import horizon_findings, return_findings


def curves(**groups: list[float]) -> pd.DataFrame:
    """Errors at 16 of the seeds of each group."""
    rows = [
        {"run": f"{group}{seed}", "name": f"{group} {seed}", "group": group, "mse": mse}
        for group, errors in groups.items()
        for seed, mse in enumerate(errors)
    ]
    return pd.DataFrame(rows).assign(sweep="", model="mosim", step=16)


def test_a_difference_beyond_the_seeds_spread_is_told() -> None:
    [finding] = horizon_findings(curves(good=[1e-6, 1.1e-6, 1.2e-6], bad=[3e-6, 3.3e-6, 3.6e-6]))
    assert (finding.about, finding.best, finding.beyond_spread) == ("16 steps", "good", True)
    assert "3.00 times lower than that of bad" in finding.text
    assert "1.1e-06 (1.0e-06 to 1.2e-06, 3 seeds)" in finding.text
    assert "larger than the spread over seeds (95% interval: 2.50 to 3.60 times)" in finding.text


def test_a_difference_within_it_is_no_victory() -> None:
    [finding] = horizon_findings(curves(one=[1e-6, 2e-6, 9e-6], other=[1.5e-6, 2.5e-6, 8e-6]))
    assert (finding.best, finding.beyond_spread) == ("one", False)
    assert "neither is shown to be better" in finding.text
    assert "is best" not in finding.text


@pytest.mark.parametrize(("seeds", "said"), [(1, "With one run"), (2, "With 2 seeds")])
def test_too_few_seeds_tell_nothing(seeds: int, said: str) -> None:
    [finding] = horizon_findings(curves(good=[1e-6] * seeds, bad=[1e-3] * seeds))
    assert finding.beyond_spread is None
    assert said in finding.text


def test_divergence_is_told() -> None:
    [finding] = horizon_findings(curves(good=[1e-6, 2e-6, np.inf], bad=[np.inf, np.inf, 1e-6]))
    assert finding.best == "good"
    said = "with a horizon error of 2.0e-06 (1.0e-06 or more, 3 seeds, 1 diverged); the second, bad, diverges."
    assert finding.text.endswith(said)
    [none] = horizon_findings(curves(bad=[np.inf] * 3))
    assert (none.best, none.text) == ("", "every prediction diverges.")


def test_baselines_never_win_and_a_sweep_is_told_by_its_best_trial() -> None:
    trials = curves(search=[4e-6, 1e-6, 9e-6]).assign(sweep="search")
    twin = curves(none=[1e-15]).assign(model=names.CHAOS_FLOOR, group=None)
    [finding] = horizon_findings(pd.concat([trials, twin]))
    assert finding.best == "search 1 of search"
    assert finding.text == " has a horizon error of 1.0e-06."


def test_returns_are_told_with_their_gap_and_their_reference() -> None:
    rows = [
        {"run": f"r{seed}", "policy": policy, "step": step, "true": true + seed, "simulated": true + seed + gap}
        for seed in range(4)
        for policy, final, gap in ((names.ZERO_SHOT, 800.0, 50.0), (names.TRUE_TRAINED, 900.0, 0.0))
        for step, true in ((1e5, 10.0), (2e5, final))
    ]
    # Of a run that somebody tracked with a true return alone, nothing is said.
    alone = {"run": "b", "policy": names.ZERO_SHOT, "step": 1.0, "true": 5.0, "simulated": float("nan"), "group": "b"}
    [finding] = return_findings(pd.DataFrame([*pd.DataFrame(rows).assign(group="a").to_dict("records"), alone]))
    assert finding.best == "a"
    assert "reaches a return of 802" in finding.text
    assert "50 more in the simulator" in finding.text
    assert "89% of the return after training in the true task (902)" in finding.text


def test_only_what_differs_is_in_the_table() -> None:
    parameters = pd.DataFrame(
        {
            "same": ["1"] * 6,
            "width": ["64", "64", "64", "128", "128", "128"],
            "seed": ["0", "1", "2", "0", "1", "2"],
            "rate": ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"],
            "checkpoint": list("abcdef"),
            "stages.1.loss": [None] * 3 + ["huber"] * 3,
            "stages.1.steps": [None] * 3 + ["100"] * 3,
            "stages.1.rate": [None] * 3 + ["1", "2", "3"],
            "of a failed run": [None] * 6,
        },
        index=[f"r{number}" for number in range(6)],
    )
    groups = pd.Series(["a"] * 3 + ["b"] * 3, index=parameters.index)
    table = differences(parameters, groups)
    assert table.to_dict("index") == {
        "width": {"a": "64", "b": "128"},
        "seed": {"a": "0, 1, 2", "b": "0, 1, 2"},
        "rate": {"a": "0.1, 0.2, 0.3", "b": "0.4, 0.5, 0.6"},
        "stages.1.* (2 settings)": {"a": "not set", "b": "set"},
        "stages.1.rate": {"a": "not set", "b": "1, 2, 3"},
    }


def test_many_values_are_told_by_their_ends() -> None:
    values = [str(value) for value in (10, 9, 100, 1, 5)]
    parameters = pd.DataFrame({"rate": values, "word": list("abcde")}, index=range(5))
    table = differences(parameters, pd.Series("all", index=parameters.index))
    assert table["all"].to_dict() == {"rate": "1 to 100 (5 values)", "word": "5 values"}
