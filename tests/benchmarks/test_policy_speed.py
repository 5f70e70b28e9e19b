"""The benchmark of policies' training works, and saves what it says; its profiler finds where time is spent."""

import csv
import time
from pathlib import Path

import pytest
from benchmark_process import run_benchmark

ROOT = Path(__file__).parent.parent.parent
IN_RLLIB = ("", ", no physics", ", no physics, RLlib's own")


def run(*arguments: str) -> str:
    return run_benchmark("policy_speed.py", "--quick", "--threads", "1", *arguments)


@pytest.mark.slow
def test_a_quick_run_saves_every_rate_it_prints(tmp_path: Path) -> None:
    said = run("--out", str(tmp_path), "--envs", "4")
    with (tmp_path / "policy_speed.csv").open() as file:
        rows = list(csv.DictReader(file))
    in_rllib = [f"{item}{ending}" for ending in IN_RLLIB for item in ("sampling", "training")]
    assert [row["item"] for row in rows] == ["rollout", "environment", *in_rllib, *in_rllib[:4]]
    assert [row["algorithm"] for row in rows] == ["", "", *["PPO"] * 6, *["SAC"] * 4]
    for row in rows:
        named = ", ".join(filter(None, ("4 envs", "1 threads", row["item"], row["algorithm"])))
        assert f"{named}: {int(row['control_steps_per_second']):,} control steps/s" in said
        assert 0 < int(row["lowest"]) <= int(row["control_steps_per_second"]) <= int(row["highest"])
        assert (row["task"], row["envs"], row["threads"], row["seed"]) == ("cheetah-run", "4", "1", "0")
        assert all(row[column] for column in ("hardware", "torch", "commit", "command", "action_repeat"))
        label = ", ".join(filter(None, (row["algorithm"], row["item"])))
        assert f"| {label} | {int(row['control_steps_per_second']):,} |" in said


@pytest.mark.slow
def test_a_profile_shares_out_the_time_and_saves_nothing(tmp_path: Path) -> None:
    said = run("--out", str(tmp_path), "--envs", "4", "--algorithms", "PPO", "--profile")
    cells = [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith("| ")][2:]
    shares = {name: float(share.rstrip("%")) for name, share, *_ in cells}
    assert sum(shares.values()) == pytest.approx(100, abs=0.1 * len(shares))
    assert {"simulator", "loss, gradients, Adam", "the rest"} <= set(shares)
    assert not list(tmp_path.iterdir())


def spend(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def much() -> None:
    spend(0.6)


def little() -> None:
    spend(0.2)


def test_the_profiler_gives_a_look_to_the_first_part_that_the_stack_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from sampling_profiler import SamplingProfiler  # pyright: ignore[reportMissingImports]

    def outer() -> None:
        much()
        little()
        spend(0.2)

    parts = (("small", __file__, ("little",)), ("large", __file__, ("much",)), ("whole", __file__, ("outer",)))
    with SamplingProfiler(parts) as profiler:
        outer()
    shares = profiler.shares()
    assert next(iter(shares)) == "large"
    assert shares["large"] > shares["small"] > 0.05
    assert shares["whole"] > 0.05
    assert sum(shares.values()) == pytest.approx(1.0)
    assert profiler.samples > 20
    assert [where for where, _ in profiler.mostly("small", 1)] == ["test_policy_speed.py:spend"]
