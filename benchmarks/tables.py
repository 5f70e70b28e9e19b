"""The README's tables from the results of studies, as Markdown.

    python benchmarks/tables.py benchmarks/results/accuracy.csv
    python benchmarks/tables.py benchmarks/results/ablation.csv

Errors are medians over seeds: beside persistence's, in parentheses, where a study has one variant, or variants that
differ in their level of knowledge; where it has others, with the lowest and the highest seed, and persistence in a
row of its own.
"""

import csv
import math
import statistics
from pathlib import Path

import tyro

HORIZONS = (1, 16, 100, 1000)

BOUND = 10
"""Times persistence's error that the worst start may come to."""

_LEVELS = {"tree", "geometry", "arrays"}

Rows = list[dict[str, str]]


def main(results: tyro.conf.Positional[Path]) -> None:
    """Prints a table with a row for each system and variant.

    Args:
      results: a CSV written by `mosim study`.
    """
    with results.open() as file:
        rows = list(csv.DictReader(file))
    ours: dict[tuple[str, str], Rows] = {}
    for row in rows:
        if row["model"] == "mosim":
            ours.setdefault((row["system"], row["variant"]), []).append(row)
    horizons = [horizon for horizon in HORIZONS if any(int(row["horizon"]) == horizon for row in rows)]
    floor = {(row["system"], int(row["horizon"])): float(row["mse"]) for row in rows if row["model"] == "persistence"}
    variants = {variant for _, variant in ours}
    if len(variants) == 1 or variants <= _LEVELS:
        _print_systems(ours, horizons, floor)
    else:
        _print_variants(ours, horizons, floor)


def _print_systems(ours: dict[tuple[str, str], Rows], horizons: list[int], floor: dict[tuple[str, int], float]) -> None:
    _print_row(["system", "level", "seeds", *(f"at {horizon}" for horizon in horizons), "bounded", "minutes"])
    _print_row(["---"] * (len(horizons) + 5))
    for (system, _), of_model in ours.items():
        longest = [row for row in of_model if int(row["horizon"]) == max(horizons)]
        _print_row(
            [
                system,
                of_model[0]["knowledge"],
                str(len({row["seed"] for row in of_model})),
                *(f"{_median(of_model, 'mse', each):.2g} ({floor[system, each]:.2g})" for each in horizons),
                "yes" if all(_bounded(row) for row in longest) else "no",
                _minutes(_median(of_model, "train_seconds", horizons[0]) / 60),
            ]
        )


def _print_variants(
    ours: dict[tuple[str, str], Rows], horizons: list[int], floor: dict[tuple[str, int], float]
) -> None:
    for system in dict.fromkeys(system for system, _ in ours):
        _print_row([system, *(f"at {horizon}" for horizon in horizons), "gradient steps", "parameters"])
        _print_row(["---"] * (len(horizons) + 3))
        for (of_system, variant), of_model in ours.items():
            if of_system == system:
                counts = [_median(of_model, name, horizons[0]) for name in ("gradient_steps", "parameters")]
                cells = [_spread(of_model, horizon) for horizon in horizons]
                _print_row([variant, *cells, *("" if math.isnan(count) else f"{count:,.0f}" for count in counts)])
        _print_row(["persistence", *(f"{floor[system, horizon]:.2g}" for horizon in horizons), "", ""])
        print()


def _print_row(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |")


def _minutes(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes >= 0.1 else "under 0.1"


def _median(rows: Rows, column: str, horizon: int) -> float:
    """Over the seeds."""
    return statistics.median(float(row[column] or "nan") for row in rows if int(row["horizon"]) == horizon)


def _spread(rows: Rows, horizon: int) -> str:
    errors = sorted(float(row["mse"]) for row in rows if int(row["horizon"]) == horizon)
    return f"{statistics.median(errors):.2g} ({errors[0]:.1g}..{errors[-1]:.1g})"


def _bounded(row: dict[str, str]) -> bool:
    """Whether every start stayed finite and none came to more than `BOUND` times persistence's error."""
    return row["diverged"] == "0" and float(row["worst_over_persistence"]) <= BOUND


if __name__ == "__main__":
    tyro.cli(main)
