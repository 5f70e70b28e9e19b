"""The benchmark of Tune's overhead works, and saves what it prints."""

import csv
from pathlib import Path

import pytest
from benchmark_process import run_benchmark


@pytest.mark.slow
def test_a_small_run_saves_every_measure(tmp_path: Path) -> None:
    sizes = ["--trials", "4", "--reports", "3", "--episodes", "3", "--recipes", "reacher-easy"]
    said = run_benchmark("tune_overhead.py", *sizes, "--out", str(tmp_path))
    with (tmp_path / "tune_overhead.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = {(row["item"], row["of"]): float(row["value"]) for row in rows}
    printed = [line for line in said.splitlines() if " trials in " not in line]
    assert len(values) == len(rows) == len(printed)
    assert "often, 3 reports a trial: 4 of 4 trials in " in said
    assert values["report", "sweep"] > 0
    assert values["snapshots", "sweep"] >= 1
    assert values["snapshot, size", "sweep"] > values["copy, size", "sweep"] > 0.001
    assert values["storage, files a trial", "sweep"] == 1
    weights, whole = values["checkpoint, weights", "reacher-easy"], values["checkpoint, size", "reacher-easy"]
    assert whole > 2 * weights > 0, "the optimiser's state is larger than what it optimises"
    floats = 3 * 1001 * (55 + 21)
    assert values["dataset, object store", "humanoid-walk"] == pytest.approx(4e-6 * floats, rel=0.01)
    for row in rows:
        assert (row["trials"], row["reports"], row["seed"]) == ("4", "3", "0")
        assert all(row[column] for column in ("hardware", "torch", "commit", "command"))
