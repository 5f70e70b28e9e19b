"""The benchmark of noisy data works, and shows that the noise is seen."""

import csv
from pathlib import Path

from benchmark_process import run_benchmark


def test_a_quick_run_saves_what_it_prints(tmp_path: Path) -> None:
    quick = ["--task", "acrobot-swingup", "--levels", "tree", "--episodes", "3", "--held-out-episodes", "2"]
    said = run_benchmark("noise.py", *quick, "--starts", "20", "--out", str(tmp_path))
    found, *printed = said.splitlines()
    assert "measurement noise is " in found
    with (tmp_path / "noise.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["horizon"]) for row in rows] == [1, 16, 100]
    assert len(printed) == 3
    assert all(f"{float(row['mse']):.2g}" in line for row, line in zip(rows, printed, strict=True))
    errors = [float(row["mse"]) for row in rows]
    assert 0 < errors[0] < errors[1] < errors[2] < 10
