"""`mosim data`: what is in a dataset."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field
from rich import box
from rich.table import Table
from rich.text import Text

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console, quiet, warn
from mosim.core.errors import MosimError
from mosim.core.files import write_json
from mosim.data import (
    Dataset,
    ImportedBehaviour,
    Overlap,
    PolicyBehaviour,
    ReplayCheck,
    Survey,
    Surveyor,
    check_steps,
    contact_share,
    data_warnings,
    overlap,
)
from mosim.robots import System, require_fit
from mosim.tasks import find_system, load_system

_QUANTILES = {"0.01": "1%", "0.5": "median", "0.99": "99%"}
"""Those of the survey's that the table shows, and their heads; the JSON has all."""

_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class Options(CommandOptions):
    """Summarise a dataset: its size, the states that it covers, and its actions.

    For each dimension of the state: minimum, maximum, mean, standard deviation, quantiles, and the fraction of steps
    within the joint's range. How often the system is in contact, and how often a joint is at its limit. For each
    actuator: minimum, maximum, how often it is zero and how often it is at a bound of its range; and how long actions
    are held. A sample of the steps is replayed in MuJoCo. Warnings name what usually hurts training: steps that MuJoCo
    does not reproduce, dimensions that never change, values that are not finite, duplicate episodes and, with
    --against, near-duplicates of steps in the other dataset. Warnings do not change the exit code. Datasets are read
    one shard at a time, so they may be larger than memory.

      mosim data data/reacher-easy
      mosim data data/heldout --against data/train --json heldout.json
    """

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")] = Field(
        description="Path of the dataset, or a URI such as s3://bucket/data."
    )
    against: Annotated[str | None, tyro.conf.arg(metavar="DATASET")] = Field(
        default=None, description="Another dataset of the same system to compare with, such as the training data."
    )
    system: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = Field(
        default=None, description="The task or MJCF file, if the model is no longer at the path that the dataset names."
    )
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = Field(
        default=None, description="Also write all results to this file as JSON."
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "data", arguments)
    with quiet(Path(os.devnull)):
        dataset = Dataset.open(options.dataset)
        other = None if options.against is None else Dataset.open(options.against)
        if other is not None:
            require_fit(other.facts, dataset.facts, f"the dataset at {other.uri}")
        seen = Surveyor(dataset)
        survey = seen.survey()
        shared = None if other is None else overlap(seen, other)
        system = _system(dataset, options.system)
        contacts = (None, 0) if isinstance(system, str) else contact_share(seen, system)
        replay = None if isinstance(system, str) else check_steps(system, seen.steps)
    found = data_warnings(survey, shared)
    if replay is not None and (sentence := replay.sentence(survey.system)):
        found.insert(0, sentence)
    _print(survey, shared, contacts, replay, system)
    for sentence in found:
        warn(sentence)
    if options.json_file is not None:
        write_json(options.json_file, _as_json(survey, shared, contacts, replay, found))
        console.print(f"wrote {options.json_file}")


def _system(dataset: Dataset, given: str | None) -> System | str:
    """The system, to find contacts with and to repeat steps in; or why there is none."""
    if given is not None:
        system = load_system(given, allow_imports=True)
        require_fit(dataset.facts, system.facts, "the dataset")
        return system
    try:
        system = find_system(None, dataset.metadata.source, "--system", "the dataset")
        require_fit(dataset.facts, system.facts, "the dataset")
    except MosimError as error:
        return str(error)
    return system


def _as_json(
    survey: Survey,
    shared: Overlap | None,
    contacts: tuple[float | None, int],
    replay: ReplayCheck | None,
    found: list[str],
) -> dict[str, Any]:
    share, looked_at = contacts
    return {
        **survey.model_dump(mode="json"),
        "in_contact": share,
        "contact_states": looked_at,
        "replay": None if replay is None else replay.model_dump(mode="json"),
        "against": None if shared is None else shared.model_dump(mode="json"),
        "warnings": found,
    }


def _print(
    survey: Survey,
    shared: Overlap | None,
    contacts: tuple[float | None, int],
    replay: ReplayCheck | None,
    system: System | str,
) -> None:
    console.print(Text.assemble((survey.system, "bold"), f", dataset {survey.id}"))
    for head, said in _facts(survey, contacts, replay, system).items():
        console.print(f"{head:<15}{said}")
    if shared is not None:
        near = "-" if shared.nearest_median is None else f"{shared.nearest_median:.2g}"
        console.print(
            f"{'against':<15}{shared.uri}: {len(shared.same_episodes)} identical episodes, "
            f"{shared.near_duplicates:.1%} of {shared.probes} steps have a near-duplicate; median distance to the "
            f"nearest step: {near} standard deviations",
        )
    if survey.physics_steps:
        for table in (_coverage_table(survey), _action_table(survey)):
            # At its own width: a figure that is cut is worse than a line that is broken.
            console.print(table, width=console.measure(table, options=console.options.update(width=1000)).maximum)


def _facts(
    survey: Survey, contacts: tuple[float | None, int], replay: ReplayCheck | None, system: System | str
) -> dict[str, str]:
    lengths = f"{survey.shortest}" if survey.shortest == survey.longest else f"{survey.shortest} to {survey.longest}"
    share, looked_at = contacts
    if isinstance(system, str):
        touching = f"not checked: {system}"
    else:
        touching = "-" if share is None else f"{share:.1%} of {looked_at:,} states"
    held = survey.held
    return {
        "source": survey.source,
        "behaviour": _behaviour(survey),
        "episodes": f"{survey.episodes:,} of {lengths} physics steps",
        "physics steps": f"{survey.physics_steps:,}, {_duration(survey.seconds)} of motion",
        "on disk": _size(survey.bytes_on_disk),
        "replay": f"not done: {system}" if isinstance(system, str) else _replay(replay),
        "in contact": touching,
        "at limits": "no joint has limits" if survey.at_limits is None else f"{survey.at_limits:.1%} of the states",
        "actions held": f"{held.mean:.3g} physics steps (median {held.median:g}, longest {held.longest})",
    }


def _replay(replay: ReplayCheck | None) -> str:
    if replay is None:
        return "-"
    same = replay.steps - replay.wrong
    return (
        f"MuJoCo reproduces {same} of {replay.steps} steps; the mean error is {replay.error:.1e} of a step's typical "
        "change"
    )


def _behaviour(survey: Survey) -> str:
    behaviour, seed = survey.behaviour, "" if survey.seed is None else f", seed {survey.seed}"
    if isinstance(behaviour, ImportedBehaviour):
        return f"imported from {behaviour.file}"
    if isinstance(behaviour, PolicyBehaviour):
        chosen = "" if behaviour.simulator is None else f", the most uncertain of {behaviour.candidates} actions"
        return f"policy {behaviour.policy}, noise {behaviour.noise:g}{chosen}{seed}"
    held = (
        f"each held for {behaviour.mean_hold:g} physics steps on average, {behaviour.zero_probability:.0%} of them zero"
    )
    return f"random actions, {held}{seed}"


def _coverage_table(survey: Survey) -> Table:
    table = Table(title="states, raw [q, v]", title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("dimension", no_wrap=True)
    for head in ("min", *_QUANTILES.values(), "max", "mean", "std", "in range"):
        table.add_column(head, justify="right")
    for each in survey.coverage:
        levels = (each.quantiles.get(level) for level in _QUANTILES)
        within = "-" if each.within_range is None else f"{each.within_range:.1%}"
        numbers = (each.minimum, *levels, each.maximum, each.mean, each.deviation)
        table.add_row(each.name, *map(_figure, numbers), within)
    return table


def _action_table(survey: Survey) -> Table:
    table = Table(
        title="actions, in actuator units", title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    table.add_column("actuator", no_wrap=True)
    for head in ("range", "min", "max", "mean", "std", "zero", "at bounds"):
        table.add_column(head, justify="right")
    for each in survey.actuators:
        numbers = map(_figure, (each.minimum, each.maximum, each.mean, each.deviation))
        limits = f"{each.lower:g} to {each.upper:g}"
        table.add_row(each.name, limits, *numbers, f"{each.zero:.1%}", f"{each.at_bound:.1%}")
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _size(count: int) -> str:
    unit = max((unit for unit in _UNITS if _UNITS[unit] <= max(count, 1)), key=_UNITS.__getitem__)
    return f"{count / _UNITS[unit]:.3g} {unit}"


def _duration(seconds: float) -> str:
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
