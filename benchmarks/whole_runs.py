"""The whole job for reacher-easy, three times over, as the README shows it: `mosim run` under three seeds.

    python benchmarks/whole_runs.py

Each goes on where it was stopped. Writes a row for each into `benchmarks/results/run_reacher_easy.csv`: what its
summary.csv says.
"""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import tyro
from common import RESULTS, commit, hardware, write_table

TASK = "reacher-easy"
OUT = Path("runs", "whole")


def main(seeds: tuple[int, ...] = (0, 1, 2), results: Path = RESULTS / "run_reacher_easy.csv") -> None:
    """Runs, and writes the CSV.

    Args:
      seeds: of data, simulator and policy.
      results: the CSV.
    """
    rows = []
    for seed in seeds:
        command = ["mosim", "run", TASK, "--seed", str(seed), "--out", str(OUT / f"seed-{seed}"), "--resume"]
        subprocess.run([str(Path(sys.executable).parent / "mosim"), *command[1:]], check=True)
        with (OUT / f"seed-{seed}" / "summary.csv").open(newline="") as file:
            measures: dict[str, Any] = {row["measure"]: f"{float(row['value']):.6g}" for row in csv.DictReader(file)}
        where = {"hardware": hardware(), "commit": commit(), "command": " ".join(command)}
        rows.append({"seed": seed} | measures | where)
    write_table(results, rows)


if __name__ == "__main__":
    tyro.cli(main)
