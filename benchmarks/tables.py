"""The README's accuracy tables from the results of studies, as Markdown.

    python benchmarks/tables.py benchmarks/results/accuracy.csv

Errors are medians over seeds, with hold-last's in parentheses.
"""

import csv
import statistics
from pathlib import Path

import tyro

HORIZONS = (1, 16, 100, 1000)
BOUND = 10
"""Times hold-last's error that the worst start may come to over 1000 steps."""


def main(results: tyro.conf.Positional[Path]) -> None:
    """Prints a table with a row for each system and variant.

    Args:
      results: a CSV written by `mosim study`.
    """
    with results.open() as file:
        rows = list(csv.DictReader(file))
    floor = {(row["system"], int(row["horizon"])): float(row["mse"]) for row in rows if row["model"] == "hold-last"}
    ours: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if row["model"] == "mosim":
            ours.setdefault((row["system"], row["variant"]), []).append(row)
    print("| system | seeds | " + " | ".join(f"at {horizon}" for horizon in HORIZONS) + " | bounded | minutes |")
    print("| --- " * (len(HORIZONS) + 4) + "|")
    several = len({variant for _, variant in ours}) > 1
    for (system, variant), of_model in ours.items():
        errors = [median(of_model, "mse", horizon) for horizon in HORIZONS]
        cells = [
            f"{system}, {variant}" if several else system,
            str(len({row["seed"] for row in of_model})),
            *(f"{error:.2g} ({floor[system, horizon]:.2g})" for error, horizon in zip(errors, HORIZONS, strict=True)),
            "yes" if all(bounded(row) for row in of_model if int(row["horizon"]) == max(HORIZONS)) else "no",
            f"{median(of_model, 'train_seconds', 1) / 60:.1f}",
        ]
        print("| " + " | ".join(cells) + " |")


def median(rows: list[dict[str, str]], column: str, horizon: int) -> float:
    """Over the seeds."""
    return statistics.median(float(row[column] or "nan") for row in rows if int(row["horizon"]) == horizon)


def bounded(row: dict[str, str]) -> bool:
    """Whether every start stayed finite and none came to more than `BOUND` times hold-last's error."""
    return row["diverged"] == "0" and float(row["worst_over_hold_last"]) <= BOUND


if __name__ == "__main__":
    tyro.cli(main)
