"""`mosim collect`: trajectories of the true physics, by Ray actors."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, Verbose, parse
from mosim.core.console import console, quiet
from mosim.core.errors import MosimError
from mosim.data import (
    EPISODE_STEPS,
    TRAINING_EPISODES,
    Behaviour,
    Collection,
    Dataset,
    PoissonBehaviour,
    PolicyBehaviour,
    check_collection,
)
from mosim.experiments.pipeline import collect_trajectories
from mosim.robots import label_of
from mosim.tasks import load_system

_BEHAVIOUR_FLAGS: dict[str, tuple[str, ...]] = {
    "poisson": ("mean_hold", "zero_probability"),
    "policy": ("policy", "noise", "simulator", "candidates"),
}


class Options(CommandOptions):
    """Collect trajectories of a task or an MJCF file. Run the same command again to resume."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")] = Field(
        description="A task as domain-task, or the path of an MJCF file."
    )
    out: str = Field(description="Folder of the dataset: a path, or a URI such as s3://bucket/data.")
    episodes: int = Field(default=TRAINING_EPISODES, ge=1, description="Number of episodes.")
    steps: int = Field(default=EPISODE_STEPS, ge=1, description="Physics steps per episode.")
    workers: int = Field(
        default=os.cpu_count() or 1, ge=1, description="Number of Ray actors. The data do not depend on it."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Random seed; together with an episode's index, it determines everything random in that episode.",
    )
    behaviour: Literal["poisson", "policy"] = Field(
        default="poisson",
        description="Which actions are applied: random ones, each held for a random time, or those of a policy.",
    )
    mean_hold: Annotated[float | None, tyro.conf.arg(metavar="STEPS")] = Field(
        default=None, ge=1, description="poisson: mean number of physics steps for which an action is held (default 5)."
    )
    zero_probability: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = Field(
        default=None, ge=0, le=1, description="poisson: fraction of the drawn actions that are zero (default 0.1)."
    )
    policy: Annotated[str | None, tyro.conf.arg(metavar="POLICY")] = Field(
        default=None,
        description="policy: a Python callable as module:function, or the folder of a policy that mosim saved.",
    )
    noise: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = Field(
        default=None,
        ge=0,
        description="policy: standard deviation of the noise added to actions, as a fraction of half their range "
        "(default 0).",
    )
    simulator: Annotated[str | None, tyro.conf.arg(metavar="CHECKPOINT")] = Field(
        default=None,
        description="policy: a simulator that has an uncertainty, such as an ensemble. Of several actions with noise, "
        "the one whose outcome is the most uncertain in it is taken.",
    )
    candidates: Annotated[int | None, tyro.conf.arg(metavar="INT")] = Field(
        default=None, ge=2, description="policy: actions with noise that the simulator compares (default 16)."
    )
    verbose: Verbose = Field(
        default=False,
        description="Show the output of Ray and other libraries on the terminal; otherwise it goes to a log file.",
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "collect", arguments)
    wanted = Collection(options.episodes, options.steps, options.seed, _behaviour(options))
    system = load_system(options.task, allow_imports=True)
    check_collection(system, options.out, wanted)  # Before a log is written there.
    with quiet(_log_path(options.out), options.verbose):
        dataset, clock = collect_trajectories(
            source=options.task,
            out=options.out,
            workers=options.workers,
            label=f"collect {label_of(options.task)}",
            **wanted._asdict(),
        )
    console.print(_summary(dataset, clock.episodes, clock.rate * options.steps))


def _summary(dataset: Dataset, collected: int, rate: float) -> str:
    metadata = dataset.metadata
    speed = f", {rate:,.0f} physics steps/s" if rate else ""
    what = (
        f"{metadata.episodes} episodes of {metadata.steps} physics steps{speed}; dataset {dataset.id} in {dataset.uri}"
    )
    return what if collected else f"nothing to collect, the dataset is complete: {what}"


def _behaviour(options: Options) -> Behaviour:
    given = {name for names in _BEHAVIOUR_FLAGS.values() for name in names if getattr(options, name) is not None}
    if odd := sorted(given - set(_BEHAVIOUR_FLAGS[options.behaviour])):
        raise MosimError(f"--{odd[0].replace('_', '-')} cannot be used with --behaviour {options.behaviour}.")
    values = {name: getattr(options, name) for name in given}
    if options.behaviour == "poisson":
        return PoissonBehaviour(**values)
    if options.policy is None:
        raise MosimError("--behaviour policy needs --policy, as module:function or the folder of a policy.")
    if options.candidates is not None and options.simulator is None:
        raise MosimError("--candidates needs --simulator, which compares them.")
    for name in ("policy", "simulator"):
        if name in values and Path(values[name]).is_dir():
            values[name] = str(Path(values[name]).resolve())  # Actors have working folders of their own.
    return PolicyBehaviour(**values)


def _log_path(out: str) -> Path:
    # The log stays on this machine where the dataset does not.
    return Path("mosim.log") if "://" in out else Path(out) / "mosim.log"
