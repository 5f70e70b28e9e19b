"""How fast errors grow with the horizon, beside the largest Lyapunov exponent of the true and of the learned system.

    mosim study benchmarks/accuracy.yaml --only /tree/seed-0 --workers 2 --out runs/trees
    python benchmarks/lyapunov.py runs/trees

Of each system in the folder of a study: the exponent of MuJoCo and that of the study's simulator of level tree, along
the held-out episodes; and the rate at which the simulator's own error grows. Writes benchmarks/results/lyapunov.csv, a
row a system, and draws docs/lyapunov.png; prints the table as Markdown.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import tyro
from common import RESULTS, write_rows

from mosim.core.files import atomic_path
from mosim.data import Dataset, Trajectories
from mosim.evaluation import LyapunovExponent, draw_starts, lyapunov_exponent, measure_rollouts
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.tasks import load_task
from mosim.training import find_checkpoint, load_simulator

mpl.use("Agg")

from matplotlib import pyplot as plt

FIRST_STEP = 50
"""From which on the growth of errors is looked at: before, rounding adds up."""

SATURATED = 1e-2
"""Share of the error of persistence over the longest horizon, up to which it is looked at."""


def main(
    runs: tyro.conf.Positional[tuple[Path, ...]],
    variant: str = "tree",
    seed: int = 0,
    episodes: int = 50,
    steps: int = 1000,
    starts: int = 100,
    out: Path = RESULTS / "lyapunov.csv",
    plot: Path = Path(__file__).parent.parent / "docs" / "lyapunov.png",
) -> None:
    """Measures, writes, draws and prints.

    Args:
      runs: folders of studies.
      variant: whose simulators are measured.
      seed: of their training.
      episodes: held-out ones that exponents are measured along.
      steps: of each, and of the rollouts whose errors are looked at.
      starts: of these rollouts.
      out: the CSV.
      plot: the picture.
    """
    folders = [run / system.name for run in runs for system in sorted((run / "data").glob("*"))]
    folders = [folder for folder in folders if (folder / variant / f"seed-{seed}").is_dir()]
    if not folders:
        sys.exit(f"there is no simulator of variant {variant} and seed {seed} in {', '.join(map(str, runs))}.")
    rows = []
    for folder in folders:
        held_out = Dataset.open(folder.parent / "data" / folder.name / "held_out").load()
        simulator = load_simulator(find_checkpoint(folder / variant / f"seed-{seed}"))
        rows.append(measured(folder.name, simulator, held_out, episodes, steps, starts))
        print(
            {key: rows[-1][key] for key in ("system", "exponent_mujoco", "exponent_simulator", "error_growth")},
            flush=True,
        )
    write_rows(out, rows)
    draw(rows, plot)
    print_table(rows)


def measured(
    system: str, simulator: DynamicsModel, held_out: Trajectories, episodes: int, steps: int, starts: int
) -> dict[str, Any]:
    """A row of the table."""
    first = held_out.offsets[:-1][:episodes]
    states = torch.from_numpy(held_out.states[first])
    actions = torch.from_numpy(held_out.actions[first[:, None] + np.arange(steps)])
    true = MujocoDynamics(load_task(system))
    growth, seconds = error_growth(simulator, held_out, steps, starts)
    exponents = {
        "mujoco": lyapunov_exponent(true, states, actions),
        "simulator": lyapunov_exponent(simulator.double(), states, actions),
    }
    return {
        "system": system,
        **{column: value for name, found in exponents.items() for column, value in columns(name, found).items()},
        "error_growth": round(growth, 4),
        "seconds": round(seconds, 3),
        "rollouts": starts,
        "timestep": held_out.facts.timestep,
    }


def columns(name: str, found: LyapunovExponent) -> dict[str, float]:
    """The columns of an exponent."""
    return {
        f"exponent_{name}": round(found.mean, 4),
        f"error_{name}": round(found.error, 4),
        f"starts_{name}": found.starts,
    }


def error_growth(simulator: DynamicsModel, held_out: Trajectories, steps: int, starts: int) -> tuple[float, float]:
    """The rate at which the logarithm of the simulator's error grows, in 1/s, and over how many seconds it was seen.

    It is the slope of the logarithm's mean over starts, by least squares, from step FIRST_STEP on until the error is
    SATURATED.
    """
    rows = draw_starts(held_out, steps, starts, seed=0)
    errors = measure_rollouts(simulator, held_out, steps, rows).by_start
    motion = held_out.facts.layout.motion
    still = held_out.states[rows[:, None] + np.arange(1, steps + 1)] - held_out.states[rows][:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = 0.5 * np.log(errors).mean(0)
    limit = 0.5 * np.log(SATURATED * np.square(still[..., motion]).mean())
    beyond = np.flatnonzero(~(logarithm < limit))
    last = min(int(beyond[0]) if len(beyond) else steps, steps)
    times = np.arange(1, steps + 1) * held_out.facts.timestep
    if last - FIRST_STEP < FIRST_STEP:
        return float("nan"), 0.0
    seen = slice(FIRST_STEP, last)
    return float(np.polyfit(times[seen], logarithm[seen], 1)[0]), float(times[seen][-1] - times[seen][0])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draws exponents and growth of errors, a line a system."""
    rows = sorted(rows, key=lambda row: row["exponent_mujoco"])
    figure, axes = plt.subplots(figsize=(6.0, 1.2 + 0.25 * len(rows)), layout="constrained")
    places = np.arange(len(rows))
    for name, marker, label, shift in (
        ("mujoco", "s", "exponent of MuJoCo", 0.12),
        ("simulator", "o", "exponent of the simulator", -0.12),
    ):
        exponents, errors = ([row[f"{kind}_{name}"] for row in rows] for kind in ("exponent", "error"))
        axes.errorbar(exponents, places + shift, xerr=errors, fmt=marker, markersize=4, label=label)
    axes.plot([row["error_growth"] for row in rows], places, "x", color="0.4", label="growth of the simulator's error")
    axes.set_yticks(places, [row["system"] for row in rows])
    axes.set(xlabel="in 1/s")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=120)
    plt.close(figure)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints the table as Markdown, the most chaotic system last."""
    print("\n| system | exponent of MuJoCo | of the simulator | growth of its error | seen for |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in sorted(rows, key=lambda row: row["exponent_mujoco"]):
        exponents = [f"{row[f'exponent_{name}']:.2f} ± {row[f'error_{name}']:.2f}" for name in ("mujoco", "simulator")]
        growth = "" if np.isnan(row["error_growth"]) else f"{row['error_growth']:.2f}"
        print(f"| {row['system']} | {exponents[0]} | {exponents[1]} | {growth} | {row['seconds']:.1f} s |")


if __name__ == "__main__":
    tyro.cli(main)
