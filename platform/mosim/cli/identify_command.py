"""`mosim identify`: what an articulated simulator has learned, in MuJoCo's words, and as an MJCF file."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro
from pydantic import Field

from mosim.cli.identify_tables import agreement_table, print_identified
from mosim.cli.parsing import CommandOptions, Verbose, parse
from mosim.core.console import console, quiet
from mosim.core.errors import MosimError
from mosim.core.files import write_json
from mosim.data import HELD_OUT_SEED_OFFSET, Dataset, PoissonBehaviour, Trajectories, collect_episode
from mosim.evaluation import (
    Identified,
    WrittenModel,
    agreement,
    identification,
    mjcf_mechanics,
    over_seeds,
    require_same_drawing,
    write_learned,
)
from mosim.experiments.pipeline import complete_dataset
from mosim.models import Mechanics, NeuralSimulator
from mosim.robots import System, label_of, require_fit, require_replaceable
from mosim.tasks import find_system, load_system
from mosim.training import Checkpoint, load_simulator, read_checkpoint

_TRANSITIONS = 16_384
"""Looked at, evenly spread over the data."""

_HORIZONS, _STARTS = (1, 16, 100), 100
"""Of the rollouts that compare a written model with its simulator."""

_EPISODES, _EPISODE_STEPS = 5, 200
"""Simulated for that comparison where there are no data."""


class Options(CommandOptions):
    """Print the masses, joints and motors that an articulated simulator has learned, as MJCF attributes.

    Each parameter is printed with its 95% confidence interval, computed from the residual forces in the data, and with
    the value in the MJCF. Scaling all masses and forces of a kinematic tree by one factor does not change its motion,
    so one value of the MJCF, a gear, is taken as known. Parameters that motion determines only in combination are
    printed as combinations. Then follow the parameters that no motion can separate, those that these data do not
    determine, and the joints whose motion would determine them. Bodies that are welded together count as one.

    With --out, the parameters are written into the system's own model as an MJCF file, and rollouts of that file and of
    the simulator are compared. A file that mosim did not write is not replaced. If several checkpoints are given, such
    as those of several seeds, the means of the parameters are printed, with their spread.

      mosim identify runs/cheetah --data data/cheetah-run
      mosim identify runs/arm --data data/arm --against arm_of_the_factory.xml --out arm.xml --json arm.json
    """

    checkpoints: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="CHECKPOINT [CHECKPOINT ...]")
    ] = Field(min_length=1, description="Checkpoints, or folders of training runs, all of the same system.")
    data: Annotated[str | None, tyro.conf.arg(metavar="DATASET")] = Field(
        default=None,
        description="The dataset to compute confidence intervals from. If omitted: data/TASK, if the simulator was "
        "trained on it; otherwise there are no intervals.",
    )
    against: Annotated[str | None, tyro.conf.arg(metavar="MJCF|TASK")] = Field(
        default=None, description="The model to compare with. If omitted: the simulator's own system."
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="XML")] = Field(
        default=None, description="Write the system's own model, with the learned parameters, to this MJCF file."
    )
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = Field(
        default=None, description="Also write all parameters to this file as JSON."
    )
    verbose: Verbose = Field(default=False, description="Show the output of libraries on the terminal.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "identify", arguments)
    with quiet(Path(os.devnull), options.verbose):
        checkpoints = _checkpoints(options)
        facts = checkpoints[0].facts
        own = _own_system(options, checkpoints[0])
        against = own if isinstance(own, System) else None
        if options.against is not None:
            against = load_system(options.against, allow_imports=True)
            require_same_drawing(against.facts, facts, f"the model {options.against}")
        if options.out is not None:
            _require_one(options, own)
        trajectories = _trajectories(options, checkpoints[0])
        transitions = None if trajectories is None else _transitions(trajectories)
        simulators = [_articulated(checkpoint) for checkpoint in checkpoints]
        numbers = None if against is None else mjcf_mechanics(against)
        model = None if against is None else against.model
        each = [identification(simulator, numbers, model, transitions) for simulator in simulators]
        found = over_seeds([one.found for one in each])
        written, rollouts = None, None
        if options.out is not None and isinstance(own, System):
            written, rollouts = _written(options.out, simulators[0], each[0].mechanics, own, trajectories)
    if isinstance(own, str) and options.against is None:
        console.print(f"there is no MJCF to compare with: {own}")
    print_identified(found, len(each))
    if written is not None and rollouts is not None:
        console.print(f"wrote {options.out}")
        for sentence in written.unwritten:
            console.print(f"  not in the file: {sentence}.")
        console.print(agreement_table(rollouts))
    if options.json_file is not None:
        write_json(options.json_file, _as_json(found, written, rollouts))
        console.print(f"wrote {options.json_file}")


def _checkpoints(options: Options) -> list[Checkpoint]:
    checkpoints = [read_checkpoint(path) for path in options.checkpoints]
    for path, checkpoint in zip(options.checkpoints, checkpoints, strict=True):
        if checkpoint.model.knowledge != "tree":
            raise MosimError(
                f"the simulator in {path} is of the kind {checkpoint.model.structure}, which has no masses; give one "
                "that was trained by a recipe with predictor: articulated."
            )
        require_fit(checkpoint.facts, checkpoints[0].facts, f"the simulator in {path}")
    return checkpoints


def _articulated(checkpoint: Checkpoint) -> NeuralSimulator:
    """The simulator of a checkpoint that `_checkpoints` has let pass."""
    simulator = load_simulator(checkpoint.path)
    if not isinstance(simulator, NeuralSimulator):
        raise TypeError(f"a model of the level tree is a NeuralSimulator, not a {type(simulator).__name__}.")
    return simulator


def _own_system(options: Options, checkpoint: Checkpoint) -> System | str:
    """The simulator's own system; or why there is none."""
    what = f"the simulator in {options.checkpoints[0]}"
    try:
        system = find_system(None, checkpoint.system, "--against", what)
        require_fit(checkpoint.facts, system.facts, what)
    except MosimError as error:
        # What is given for comparison may be the same model, in another place.
        if options.against is None:
            return str(error)
        system = load_system(options.against, allow_imports=True)
        return str(error) if checkpoint.facts.differences(system.facts) else system
    return system


def _require_one(options: Options, own: System | str) -> None:
    """Checks that there is one robot to write, and a place to write it to."""
    if len(options.checkpoints) > 1:
        raise MosimError(f"--out writes one robot, but {len(options.checkpoints)} checkpoints are given; give one.")
    if isinstance(own, str):
        raise MosimError(f"--out needs the simulator's own model: {own}")
    if options.out is not None:
        require_replaceable(options.out)


def _trajectories(options: Options, checkpoint: Checkpoint) -> Trajectories | None:
    if options.data is not None:
        dataset = Dataset.open(options.data)
        require_fit(dataset.facts, checkpoint.facts, f"the dataset at {dataset.uri}")
        return dataset.load()
    dataset = complete_dataset(Path("data") / label_of(checkpoint.system))
    if dataset is None or dataset.id != checkpoint.dataset_id:
        console.print(
            "no --data is given: there are no intervals, and every parameter that some motion could determine counts "
            "as determined."
        )
        return None
    console.print(f"no --data is given: using {dataset.uri}, which the simulator was trained on")
    return dataset.load()


def _transitions(trajectories: Trajectories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = trajectories.windows(1)
    rows = rows[:: max(1, len(rows) // _TRANSITIONS)]
    return trajectories.states[rows], trajectories.actions[rows], trajectories.states[rows + 1]


def _written(
    out: Path, simulator: NeuralSimulator, mechanics: Mechanics, system: System, trajectories: Trajectories | None
) -> tuple[WrittenModel, pd.DataFrame]:
    written = write_learned(out, simulator, mechanics, system)
    if trajectories is None:
        episodes = [
            collect_episode(system, PoissonBehaviour(), _EPISODE_STEPS, HELD_OUT_SEED_OFFSET, index)
            for index in range(_EPISODES)
        ]
        trajectories = Trajectories.of(system.facts, episodes)
    return written, agreement(simulator, written.system, trajectories, _HORIZONS, _STARTS)


def _as_json(found: Identified, written: WrittenModel | None, rollouts: pd.DataFrame | None) -> dict[str, Any]:
    record = asdict(found)
    for numbers in ("numbers", "combinations"):
        for one, plain in zip(getattr(found, numbers), record[numbers], strict=True):
            plain["difference"] = one.difference
    return {
        **record,
        "written": None if written is None else {"file": written.system.source, "not_in_it": written.unwritten},
        "rollouts": None if rollouts is None else rollouts.to_dict("records"),
    }
