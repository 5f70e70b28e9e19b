"""The benchmark of trials' memory works, and shows that trials share the data."""

import csv
from pathlib import Path

import pytest
from benchmark_process import run_benchmark

EPISODES = 60


@pytest.mark.slow
def test_trials_see_one_copy_of_the_data_and_have_none_of_their_own(tmp_path: Path) -> None:
    sizes = ["--episodes", str(EPISODES), "--minutes", "0.02", "--trials", "1", "2"]
    said = run_benchmark("trial_memory.py", *sizes, "--out", str(tmp_path))
    assert [line.split(" | ")[:2] for line in said.splitlines()] == [["memory", f"trials={n}"] for n in (1, 2)]
    with (tmp_path / "trial_memory.csv").open() as file:
        rows = list(csv.DictReader(file))
    megabytes = 4e-6 * EPISODES * 1001 * (55 + 21)
    for row in rows:
        assert float(row["data"]) == pytest.approx(megabytes, rel=0.05)
        assert float(row["object store"]) == pytest.approx(megabytes, rel=0.05)
    alone, beside = (float(row["private"]) for row in rows)
    assert beside < alone + megabytes
