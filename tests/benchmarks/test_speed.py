"""The speed benchmark works, and saves what it says."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_CHEAP = ("training", "rollout", "environment", "cost")


def test_a_quick_run_saves_ratios_and_costs_where_it_is_told_to(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/speed.py", "--quick", "--out", str(tmp_path), "--items", *_CHEAP],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "speed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["item"], row["task"]) for row in rows] == [
        ("training", "reacher-easy"),
        ("training", "reacher-easy"),
        ("rollout", "humanoid-walk"),
        ("rollout", "cheetah-run"),
        ("environment", "reacher-easy"),
        ("environment", "cheetah-run"),
        ("environment", "humanoid-walk"),
    ]
    for row in rows:
        assert float(row["ratio"]) == pytest.approx(float(row["ours"]) / float(row["theirs"]), rel=5e-3)
        assert row["met"] == str(float(row["ratio"]) >= float(row["target"]))
        assert all(row[column] for column in ("hardware", "torch", "mujoco", "commit", "command"))
        assert f"{row['item']} {row['task']}" in done.stdout
    with (tmp_path / "cost.csv").open() as file:
        costs = list(csv.DictReader(file))
    assert {int(row["batch"]) for row in costs if row["device"] == "cpu"} == {1, 16}
    assert all(int(row["steps_per_second"]) > 0 for row in costs)
