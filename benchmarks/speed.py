"""How fast training, rollouts, collection and environments are, as ratios to what they stand beside.

    python benchmarks/speed.py            # or: make bench-speed

Each ratio is of two rates measured in turn, five times over; the medians are saved. Whatever runs on one core runs on
one thread. Simulators have the shapes of the shipped recipes of the level geometry and weights drawn at random, since
the cost does not depend on the weights (`dopri5` takes the fewest steps then, so its ratio is at its lowest); states are
those of standard episodes.

| item | measures | against |
| --- | --- | --- |
| training | one-step training of reacher's recipe, samples a second | the same widths with dopri5 and adjoint, torchdiffeq's tolerances, and no constraints |
| training, articulated | one-step training of an articulated predictor with constraints, samples a second | the recipe as shipped |
| rollout | model steps a second at batch 1024, of recipes and of articulated predictors with constraints | a bare loop of mj_step on one core through the same episodes |
| collection | physics steps a second of `collect` | bare loops of mj_step in as many processes |
| environment | physics steps a second of the vector env at batch 256, observation and reward included, resets not | the model's bare rollout |
| memory | peak memory of training on cheetah's standard data, above that of the imports | the data's arrays |
| threads | control steps a second of `make_vec` with 128 envs, resets not, under torch's default number of threads, one core busy | the same after `torch.set_num_threads(1)` |
| cost | model steps a second over batch and width, saved to cost.csv | |

Writes benchmarks/results/speed.csv and cost.csv. Of speed.csv, rows of items that are not measured stay as they are.
"""  # noqa: E501 A table's rows are one line each.

import csv
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import tyro
from common import RESULTS, origin, write_rows, write_table
from cost import cost_rows
from pairs import (
    Scale,
    articulated_training_row,
    collection_row,
    environment_row,
    memory_row,
    rollout_row,
    threads_row,
    training_row,
)

from mosim.core.threads import torch_threads
from mosim.jobs import ray_cluster

Item = Literal["training", "rollout", "collection", "environment", "memory", "threads", "cost"]

_EVERYTHING: tuple[Item, ...] = get_args(Item)

_FULL = Scale(rounds=5, seconds=3.0, episodes=50, steps=1000, batch=1024, envs=256, training_episodes=300)

_QUICK = Scale(rounds=1, seconds=0.05, episodes=2, steps=40, batch=16, envs=4, training_episodes=3)
"""To see that everything works; its figures mean nothing."""


@dataclass(frozen=True)
class _Goal:
    item: Item
    measure: Callable[[Scale], dict[str, Any]]
    target: float


_GOALS = (
    _Goal("training", lambda scale: training_row("reacher-easy", scale, constrained=True), 20.0),
    _Goal("training", lambda scale: training_row("reacher-easy", scale, constrained=False), 20.0),
    _Goal("training", lambda scale: articulated_training_row("reacher-easy", scale), 1.0),
    _Goal("training", lambda scale: articulated_training_row("cheetah-run", scale), 1.0),
    _Goal("training", lambda scale: articulated_training_row("humanoid-walk", scale), 1.0),
    _Goal("rollout", lambda scale: rollout_row("humanoid-walk", scale), 1.0),
    _Goal("rollout", lambda scale: rollout_row("cheetah-run", scale), 0.5),
    _Goal("rollout", lambda scale: rollout_row("reacher-easy", scale, articulated=True), 4.0),
    _Goal("rollout", lambda scale: rollout_row("cheetah-run", scale, articulated=True), 2.0),
    _Goal("rollout", lambda scale: rollout_row("humanoid-walk", scale, articulated=True), 2.0),
    _Goal("environment", lambda scale: environment_row("reacher-easy", scale), 0.5),
    _Goal("environment", lambda scale: environment_row("cheetah-run", scale), 0.5),
    _Goal("environment", lambda scale: environment_row("humanoid-walk", scale), 0.5),
    _Goal("collection", lambda scale: collection_row("cheetah-run", scale), 0.8),
    _Goal("collection", lambda scale: collection_row("humanoid-walk", scale), 0.8),
    _Goal("memory", lambda scale: memory_row("cheetah-run", scale), 3.0),
    _Goal("threads", lambda scale: threads_row("reacher-easy", scale), 0.667),
    _Goal("threads", lambda scale: threads_row("cheetah-run", scale), 0.667),
)


def main(items: tuple[Item, ...] = _EVERYTHING, out: Path = RESULTS, quick: bool = False) -> None:
    """Measures, prints and saves.

    Args:
      items: what to measure.
      out: folder that speed.csv and cost.csv are written to.
      quick: everything tiny, to see that it works.
    """
    scale = _QUICK if quick else _FULL
    if rows := list(_measured(items, scale)):
        where, table, order = origin(), out / "speed.csv", [goal.item for goal in _GOALS]
        whole = [row | where for row in rows] + _rows_of_others(table, items)
        write_table(table, sorted(whole, key=lambda row: order.index(row["item"])))
    if "cost" in items:
        with torch_threads(1):
            write_rows(out / "cost.csv", list(cost_rows("cheetah-run", scale, quick)))


def _rows_of_others(table: Path, items: tuple[Item, ...]) -> list[dict[str, Any]]:
    """The rows of a table that are of other items, each with where it comes from."""
    if not table.is_file():
        return []
    with table.open() as file:
        return [row for row in csv.DictReader(file) if row["item"] not in items]


def _measured(items: tuple[Item, ...], scale: Scale) -> Iterator[dict[str, Any]]:
    for goal in _GOALS:
        if goal.item not in items:
            continue
        with _conditions(goal.item):
            row = goal.measure(scale)
        # Of memory less is better.
        met = row["ratio"] <= goal.target if goal.item == "memory" else row["ratio"] >= goal.target
        row = {"item": goal.item, **row, "target": goal.target, "met": met}
        row = {key: _rounded(value) for key, value in row.items()}
        print(
            f"{row['item']} {row['task']}: {row['ours']:,} against {row['theirs']:,} {row['unit']}, "
            f"ratio {row['ratio']:g} (target {goal.target:g}{', met' if met else ', not met'})",
            flush=True,
        )
        yield row


def _conditions(item: Item) -> AbstractContextManager[None]:
    """What an item is measured under."""
    if item in ("collection", "memory"):  # Ray stands only while it is used, or its processes disturb the rest.
        return ray_cluster.started(num_cpus=2)
    return nullcontext() if item == "threads" else torch_threads(1)


def _rounded(value: Any) -> Any:
    """Four digits of a number that is not whole."""
    if not isinstance(value, float) or not value:
        return value
    rounded = round(value, 3 - math.floor(math.log10(abs(value))))
    return int(rounded) if rounded == int(rounded) else rounded


if __name__ == "__main__":
    tyro.cli(main)
