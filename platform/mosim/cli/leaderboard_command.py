"""`mosim leaderboard`: predictions that were made without mosim, measured as its own are."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console
from mosim.core.errors import UnknownNameError
from mosim.core.files import atomic_path
from mosim.data import HELD_OUT_EPISODES, Dataset
from mosim.evaluation import STANDARD_HORIZONS, horizon_table, measure_predictions, write_starts
from mosim.experiments.pipeline import HELD_OUT_SUFFIX, STANDARD, default_dataset, horizon_summary
from mosim.models import Knowledge
from mosim.robots import System, require_fit
from mosim.tasks import load_system

_HELP = """usage: mosim leaderboard [-h] {starts,score} ...

Measure predictions that were made without mosim, for the same starts, horizons and metric as its own.

  -h, --help  show this help message and exit

  starts  Write the states and actions that predictions begin with into an .npz file.
  score   Measure predicted states from an .npz file.

mosim leaderboard starts --help explains a command. docs/leaderboard.md describes both files."""


class _DataOptions(CommandOptions):
    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")] = Field(
        description="A task as domain-task, or the path of an MJCF file."
    )
    data: Annotated[str | None, tyro.conf.arg(metavar="DATASET")] = Field(
        default=None,
        description="Held-out episodes. If omitted: data/TASK-held-out, where the standard "
        f"{HELD_OUT_EPISODES} episodes are collected if there are none.",
    )
    horizons: tuple[int, ...] = Field(
        default=STANDARD_HORIZONS, min_length=1, description="Horizons, in physics steps."
    )
    starts: int = Field(default=400, ge=1, description="Starts per horizon; fewer if the episodes have fewer.")
    seed: int = Field(default=0, ge=0, description="Seed of the random choice of starts.")

    def dataset(self) -> tuple[System, Dataset]:
        """The system and its held-out episodes, collected where there are none."""
        system = load_system(self.task, allow_imports=True)
        given = (
            default_dataset(system, STANDARD.held_out, HELD_OUT_SUFFIX)
            if self.data is None
            else Dataset.open(self.data)
        )
        require_fit(given.facts, system.facts, f"the dataset at {given.uri}")
        return system, given


class StartsOptions(_DataOptions):
    """Write the states and actions that predictions begin with into an .npz file.

    The file has plain arrays of float64: the last 16 known states of each start, the actions between them, and the
    actions after it. docs/leaderboard.md describes it.

      mosim leaderboard starts cheetah-run --out starts.npz
    """

    out: Annotated[Path, tyro.conf.arg(metavar="NPZ")] = Field(description="The file to write.")


class ScoreOptions(_DataOptions):
    """Measure predicted states from an .npz file.

    The file has the array states_H, of shape (starts, H, state), for each longest horizon H of the starts' file, and
    the string dataset of that file. Nothing in it is unpickled. Give the same --data, --horizons, --starts and --seed
    as for the starts.

      mosim leaderboard score cheetah-run predictions.npz --name "my model" --knowledge arrays
    """

    predictions: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="NPZ")] = Field(
        description="The .npz file of predicted states."
    )
    name: str = Field(description="Name of the model in the table.")
    knowledge: Knowledge = Field(
        description="What the model knows of the robot: arrays (states, actions, time step, kinds of joints), geometry "
        "(and shapes and ranges) or tree (and that inertia comes from masses on links)."
    )
    episodes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = Field(
        default=None, ge=1, description="Episodes that the model was trained on."
    )
    parameters: Annotated[int | None, tyro.conf.arg(metavar="INT")] = Field(
        default=None, ge=1, description="Number of weights of the model."
    )
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = Field(
        default=None, gt=0, description="Wall-clock minutes of its training."
    )
    results: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = Field(
        default=None, description="Also add the rows to this CSV, in place of earlier rows of this model and task."
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        console.print(_HELP, markup=False, highlight=False, soft_wrap=True)
        sys.exit(0 if arguments else 2)
    commands = {"starts": _starts, "score": _score}
    if arguments[0] not in commands:
        raise UnknownNameError.among("command", arguments[0], commands)
    commands[arguments[0]](arguments[1:])


def _starts(arguments: Sequence[str]) -> None:
    options = parse(StartsOptions, "leaderboard starts", arguments)
    _, dataset = options.dataset()
    counts = write_starts(options.out, dataset, options.horizons, options.starts, options.seed)
    told = ", ".join(f"{count} of {horizon} physics steps" for horizon, count in counts.items())
    console.print(f"wrote {options.out}: starts for predictions, {told}; dataset {dataset.id}")


def _score(arguments: Sequence[str]) -> None:
    options = parse(ScoreOptions, "leaderboard score", arguments)
    system, dataset = options.dataset()
    measured = measure_predictions(options.predictions, dataset, options.horizons, options.starts, options.seed)
    table = horizon_table(system.facts.name, dataset.id, {options.name: measured}, {options.name: options.knowledge})
    console.print(horizon_summary(table))
    if options.results is not None:
        _add(table, options, options.results)
        console.print(f"wrote {options.results}")


def _add(table: pd.DataFrame, options: ScoreOptions, results: Path) -> None:
    """Puts the rows into a CSV of `mosim study`'s columns."""
    from mosim.experiments.study import COLUMNS  # Which brings Ray.

    rows = table.drop(columns=["dataset"]).assign(
        system=options.task,
        variant=options.name,
        model="external",
        episodes=options.episodes,
        parameters=options.parameters,
        train_seconds=None if options.minutes is None else 60 * options.minutes,
    )
    rows = rows.reindex(columns=list(COLUMNS))
    if results.is_file():
        known = pd.read_csv(results, dtype=str)
        same = (known["system"] == options.task) & (known["variant"] == options.name) & (known["model"] == "external")
        rows = pd.concat([known[~same], rows], ignore_index=True)
    with atomic_path(results) as aside:
        rows.to_csv(aside, index=False, float_format="%.6g")
