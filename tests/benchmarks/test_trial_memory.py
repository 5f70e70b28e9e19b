"""The benchmark of trials' memory works, and shows that trials share the data."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

EPISODES = 60


@pytest.mark.slow
def test_trials_see_one_copy_of_the_data_and_have_none_of_their_own(tmp_path: Path) -> None:
    sizes = ["--episodes", str(EPISODES), "--minutes", "0.02", "--trials", "1", "2"]
    done = subprocess.run(
        [sys.executable, "benchmarks/trial_memory.py", *sizes, "--out", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(" | ")[:2] for line in done.stdout.splitlines()] == [["memory", f"trials={n}"] for n in (1, 2)]
    with (tmp_path / "trial_memory.csv").open() as file:
        rows = list(csv.DictReader(file))
    megabytes = 4e-6 * EPISODES * 1001 * (55 + 21)
    for row in rows:
        assert float(row["data"]) == pytest.approx(megabytes, rel=0.05)
        assert float(row["object store"]) == pytest.approx(megabytes, rel=0.05)
    alone, beside = (float(row["private"]) for row in rows)
    assert beside < alone + megabytes
