"""How accurate simulators are that were trained on noisy states, by how much they are told of the robot.

    python benchmarks/noise.py

Every channel of the training data has normal noise, of a share of the channel's standard deviation; the starts of the
rollouts that are measured have none. Writes benchmarks/results/noise.csv, a row for each level and horizon; prints the
same.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro
from common import RESULTS, standard_episodes, write_rows

from mosim.data import EPISODE_STEPS, HELD_OUT_EPISODES, HELD_OUT_SEED_OFFSET, TRAINING_EPISODES, Trajectories
from mosim.evaluation import measure_horizons
from mosim.tasks import load_task
from mosim.training import Report, Trainer, TrainingData, load_recipe

HORIZONS = (1, 16, 100)


def main(
    task: str = "cheetah-run",
    levels: tuple[str, ...] = ("tree", "geometry"),
    noise: float = 0.01,
    episodes: int = TRAINING_EPISODES,
    held_out_episodes: int = HELD_OUT_EPISODES,
    starts: int = 400,
    minutes: float | None = None,
    seed: int = 0,
    out: Path = RESULTS,
) -> None:
    """Trains, measures and writes the table.

    Args:
      task: whose simulators are trained.
      levels: tree, geometry or arrays: the system's recipes that are trained.
      noise: standard deviation of what is added to each channel, over that of the channel.
      episodes: standard episodes that are trained on.
      held_out_episodes: others, which are measured on.
      starts: rollouts that are measured.
      minutes: that a training fits into; by default as long as its recipe says.
      seed: of episodes, noise and training.
      out: folder of the table.
    """
    true = load_task(task)
    training = with_noise(standard_episodes(true, episodes, EPISODE_STEPS, seed), noise, seed)
    held_out = standard_episodes(true, held_out_episodes, EPISODE_STEPS, seed + HELD_OUT_SEED_OFFSET)
    data, rows = TrainingData.of(training, f"{task} with noise"), []
    for level in levels:
        recipe = load_recipe(true.facts.name, None if level == "tree" else level)
        recipe = recipe.model_copy(update={"seed": seed})
        if minutes is not None:
            recipe = recipe.within(minutes)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(system=task, recipe=recipe, data=data, out=Path(folder))
            trainer.run(tell)
        seconds = time.perf_counter() - started
        errors = measure_horizons(trainer.model, held_out, horizons=HORIZONS, starts=starts, seed=seed)
        for horizon in HORIZONS:
            found = {"mse": errors[horizon].mse(horizon), "mse_median": errors[horizon].mse_median(horizon)}
            print(f"{level} | H={horizon} | {found['mse']:.2g} | median {found['mse_median']:.2g}", flush=True)
            rows.append(
                {"task": task, "level": level, "noise": noise, "episodes": episodes, "seed": seed, "horizon": horizon}
                | {name: f"{value:.6g}" for name, value in found.items()}
                | {"starts": errors[horizon].starts, "train_seconds": round(seconds)}
            )
    write_rows(out / "noise.csv", rows)


def with_noise(trajectories: Trajectories, share: float, seed: int) -> Trajectories:
    """The same with normal noise on every channel of the states, of a share of its standard deviation."""
    states = trajectories.states
    noise = np.random.default_rng(seed).normal(size=states.shape) * states.std(axis=0)
    return dataclasses.replace(trajectories, states=states + share * noise)


def tell(report: Report) -> None:
    """Prints what least squares found."""
    if report.found:
        print(report.found, flush=True)


if __name__ == "__main__":
    tyro.cli(main)
