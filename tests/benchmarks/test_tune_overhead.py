"""The benchmark of Tune's overhead works, and saves what it prints."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_a_small_run_saves_every_measure(tmp_path: Path) -> None:
    sizes = ["--trials", "4", "--reports", "3", "--episodes", "3", "--recipes", "reacher-easy"]
    done = subprocess.run(
        [sys.executable, "benchmarks/tune_overhead.py", *sizes, "--out", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "tune_overhead.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = {(row["item"], row["of"]): float(row["value"]) for row in rows}
    printed = [line for line in done.stdout.splitlines() if " trials in " not in line]
    assert len(values) == len(rows) == len(printed)
    assert "often, 3 reports a trial: 4 of 4 trials in " in done.stdout
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
