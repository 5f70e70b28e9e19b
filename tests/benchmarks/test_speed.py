"""The speed benchmark works, and saves what it says."""

import csv
import shutil
from pathlib import Path

import pytest
from benchmark_process import run_benchmark

ROOT = Path(__file__).parent.parent.parent
_CHEAP = ("training", "rollout", "environment", "threads", "cost")


def run(out: Path, *items: str, threads: int = 1) -> str:
    return run_benchmark("speed.py", "--quick", "--out", str(out), "--items", *items, threads=threads)


def rows_in(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


def test_a_quick_run_saves_ratios_and_costs_where_it_is_told_to(tmp_path: Path) -> None:
    printed = run(tmp_path, *_CHEAP)
    rows = rows_in(tmp_path / "speed.csv")
    assert [(row["item"], row["task"]) for row in rows] == [
        ("training", "reacher-easy"),
        ("training", "reacher-easy"),
        ("training", "reacher-easy"),
        ("training", "cheetah-run"),
        ("training", "humanoid-walk"),
        ("rollout", "humanoid-walk"),
        ("rollout", "cheetah-run"),
        ("rollout", "reacher-easy"),
        ("rollout", "cheetah-run"),
        ("rollout", "humanoid-walk"),
        ("environment", "reacher-easy"),
        ("environment", "cheetah-run"),
        ("environment", "humanoid-walk"),
        ("threads", "reacher-easy"),
        ("threads", "cheetah-run"),
    ]
    for row in rows:
        assert float(row["ratio"]) == pytest.approx(float(row["ours"]) / float(row["theirs"]), rel=5e-3)
        assert row["met"] == str(float(row["ratio"]) >= float(row["target"]))
        assert all(row[column] for column in ("hardware", "torch", "mujoco", "commit", "command"))
        assert f"{row['item']} {row['task']}" in printed
    costs = rows_in(tmp_path / "cost.csv")
    assert {int(row["batch"]) for row in costs if row["device"] == "cpu"} == {1, 16}
    assert all(int(row["steps_per_second"]) > 0 for row in costs)


def test_what_is_not_measured_again_stays_as_it_is(tmp_path: Path) -> None:
    results = ROOT / "benchmarks" / "results" / "speed.csv"
    before = [row for row in rows_in(results) if row["item"] != "threads"]
    shutil.copy(results, tmp_path / "speed.csv")
    run(tmp_path, "threads", threads=2)
    after = rows_in(tmp_path / "speed.csv")
    assert [row for row in after if row["item"] != "threads"] == before
    measured = [row for row in after if row["item"] == "threads"]
    assert [(row["task"], row["threads"]) for row in measured] == [("reacher-easy", "2"), ("cheetah-run", "2")]
