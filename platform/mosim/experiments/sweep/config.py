"""A sweep as data: what is trained, which of its settings are searched, how, and for how long."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, FiniteFloat, field_validator, model_validator

from mosim.core.configuration import LocatedError, read_yaml_model
from mosim.core.errors import UnknownNameError
from mosim.core.frozen import Frozen
from mosim.data import StandardData
from mosim.experiments.sweep.dimensions import Dimension, Scalar
from mosim.experiments.sweep.strategies import NoScheduler, Pbt, RandomSearch, Scheduler, Search
from mosim_analysis.metric_names import HORIZON_CURVE

Trained = Literal["simulator", "policy"]

_STAGE_FIELD = re.compile(r"stages\.\d+\.(\w+)")

_OF_MOMENTS = ("learns", "optimizer")
"""Fields of stages on which it depends what an optimiser keeps."""


class Metric(NamedTuple):
    """What a trial reports of itself: which trials do, whether little or much of it is good, and what it is."""

    of: Trained
    mode: Literal["min", "max"]
    description: str


METRICS = {
    f"{HORIZON_CURVE}16": Metric("simulator", "min", "horizon error at 16 physics steps, on the validation episodes"),
    f"{HORIZON_CURVE}100": Metric("simulator", "min", "horizon error at 100 physics steps, on the validation episodes"),
    "samples_per_second": Metric("simulator", "max", "physics steps of training data per second"),
    "rollout_steps_per_second": Metric("simulator", "max", "physics steps predicted per second, open loop"),
    "true_return": Metric("policy", "max", "mean return in the true task"),
    "simulated_return": Metric("policy", "max", "mean return in the simulator"),
}


class SweepData(StandardData):
    """The data that simulators are trained on: those that lie somewhere, or else standard data to be collected."""

    path: str | None = Field(
        default=None,
        description="Path or URI of an existing dataset, instead of collecting one; a relative path is relative to "
        "the sweep's file.",
    )

    @model_validator(mode="after")
    def _given_or_collected(self) -> Self:
        if self.path is not None and (odd := sorted(self.model_dump(exclude={"path"}, exclude_defaults=True))):
            raise LocatedError((odd[0],), "it is for data to be collected, but data.path gives an existing dataset")
        return self


class Budget(Frozen):
    """Limits of a sweep."""

    trials: int | None = Field(
        default=None,
        ge=1,
        description="Number of random draws. If the space has a grid, each draw is combined with every grid point, "
        "and the default is 1. Equal draws are run once.",
    )
    minutes: FiniteFloat | None = Field(
        default=None, gt=0, description="Wall-clock minutes of the whole sweep; null for no limit."
    )
    concurrent: int | None = Field(
        default=None, ge=1, description="Maximum number of trials at a time; null for as many as the resources allow."
    )


class Resources(Frozen):
    """Resources that a trial occupies."""

    cpu: FiniteFloat = Field(default=1.0, gt=0, description="CPU cores per trial.")
    gpu: FiniteFloat = Field(
        default=0.0, ge=0, description="GPUs per trial: a fraction of one, such as 0.25, or a whole number."
    )

    @model_validator(mode="after")
    def _whole_above_one(self) -> Self:
        for name, amount in (("cpu", self.cpu), ("gpu", self.gpu)):
            if amount > 1 and amount != int(amount):
                raise LocatedError((name,), f"it must be at most 1 or a whole number, and {amount:g} is neither")
        return self


class Sweep(Frozen):
    """A hyperparameter search: trials of one training, with settings from a search space."""

    name: str = Field(
        min_length=1, pattern=r"^[\w.-]+$", description="Name of the sweep; its output folder is runs/NAME by default."
    )
    trains: Trained = Field(default="simulator", description="What a trial trains: a simulator or a policy.")
    task: str = Field(description="A task as domain-task, or the path of an MJCF file, relative to the sweep's file.")
    data: SweepData = Field(
        default=SweepData(),
        description="For simulators: a dataset, or how to collect one; if omitted, standard data are collected. For "
        "policies that start in states of data: only the path; if omitted, the data that the simulator "
        "was trained on.",
    )
    simulator: Path | None = Field(
        default=None,
        description="For policies: the simulator in which they are trained, as a checkpoint or the folder of a "
        "training run; a relative path is relative to the working directory.",
    )
    recipe: str | None = Field(
        default=None,
        description="The base recipe, which trials change: a YAML file, relative to the sweep's file; geometry or "
        "arrays, for the system's recipe of that knowledge level; or the name of a simulator's recipe "
        "that mosim ships, such as general. If omitted: the system's own recipe, or for a policy the "
        "task's own recipe.",
    )
    set: dict[str, Any] = Field(
        default={}, description="Changed values of the recipe by dotted name, the same in all trials."
    )
    minutes: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="For simulators: wall-clock minutes of training, per trial and seed. If omitted: as long as the "
        "recipe says. Policies train for control_steps.",
    )
    space: dict[str, Dimension] = Field(
        min_length=1,
        description="The search space: its dimensions by dotted names of the recipe. A dimension whose options are "
        "labelled changes of the recipe may have any name.",
    )
    metric: tuple[str, ...] = Field(min_length=1, description="The metric to optimise, or a list of metrics.")
    scheduler: Scheduler = Field(
        default=NoScheduler(), description="asha, pbt, median or none, or a mapping with the kind and its settings."
    )
    search: Search = Field(
        default=RandomSearch(), description="random or optuna, or a mapping with the kind and its settings."
    )
    budget: Budget = Field(default=Budget(), description="Limits of the whole sweep.")
    resources: Resources = Field(default=Resources(), description="Resources that a trial occupies.")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        default=(0,),
        min_length=1,
        description="Seeds of training. A trial trains once with each; its score is the median over them.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Random seed of the search.")
    report_seconds: FiniteFloat = Field(
        default=10.0, gt=0, description="Seconds of training between two reports of a trial."
    )
    share_predictors: bool = Field(
        default=True,
        description="Whether trials with equal stages before the first corrector's stage start from one shared "
        "predictor, which is trained once. Not used under pbt.",
    )

    @field_validator("metric", mode="before")
    @classmethod
    def _one_metric(cls, metric: Any) -> Any:
        return (metric,) if isinstance(metric, str) else metric

    @field_validator("scheduler", "search", mode="before")
    @classmethod
    def _kind_alone(cls, kind: Any) -> Any:
        return {"kind": kind} if isinstance(kind, str) else kind

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check_trained()
        self._check_metric()
        self._check_conditions()
        self._check_search()
        self._check_scheduler()
        if len(set(self.seeds)) < len(self.seeds):
            raise LocatedError(("seeds",), "seeds must be distinct")
        return self

    def _check_trained(self) -> None:
        simulators = self.trains == "simulator"
        if simulators and self.simulator is not None:
            raise LocatedError(("simulator",), "only a sweep that trains policies has a simulator to train them in")
        if simulators:
            return
        if self.simulator is None:
            raise LocatedError(
                ("simulator",), "a policy is trained in a simulator; give a checkpoint or the folder of a training run"
            )
        if self.minutes is not None:
            raise LocatedError(
                ("minutes",), "a policy is trained for control_steps, not for minutes; set control_steps"
            )
        if self.data.model_dump(exclude={"path"}, exclude_defaults=True):
            raise LocatedError(
                ("data",), "only simulators are trained on data; for policies, only data.path can be given"
            )

    def _check_metric(self) -> None:
        known = [name for name, metric in METRICS.items() if metric.of == self.trains]
        for name in self.metric:
            if name not in known:
                raise LocatedError(("metric",), str(UnknownNameError.among(f"metric of a {self.trains}", name, known)))
        if len(set(self.metric)) < len(self.metric):
            raise LocatedError(("metric",), "metrics must be distinct")
        if len(self.metric) > 1 and self.search.kind != "optuna":
            raise LocatedError(("search",), f"several metrics need search: optuna, not {self.search.kind}")
        if len(self.metric) > 1 and self.scheduler.kind != "none":
            raise LocatedError(("scheduler",), f"several metrics need scheduler: none, not {self.scheduler.kind}")

    def _check_conditions(self) -> None:
        earlier: dict[str, Dimension] = {}
        for name, dimension in self.space.items():
            for parent, values in dimension.when.items():
                where = ("space", name, "when", parent)
                if parent not in earlier:
                    listed = ", ".join(earlier) or "none"
                    raise LocatedError(where, f"{parent!r} is not a dimension before {name!r}; available: {listed}")
                for value in values:
                    if not earlier[parent].kind.takes(value):
                        raise LocatedError(where, _never(parent, earlier[parent], value))
            earlier[name] = dimension

    def _check_search(self) -> None:
        grids = [name for name, dimension in self.space.items() if dimension.grid is not None]
        if grids and self.search.kind != "random":
            raise LocatedError(("space", grids[0], "grid"), f"a grid needs search: random, not {self.search.kind}")
        if not grids and self.budget.trials is None:
            raise LocatedError(("budget", "trials"), "a number of trials is needed, since the space has no grid")

    def _check_scheduler(self) -> None:
        scheduler = self.scheduler
        if isinstance(scheduler, NoScheduler):
            return
        if self.minutes is None:
            raise LocatedError(
                ("scheduler",), f"{scheduler.kind} compares trials of equal length, so minutes is needed"
            )
        name = "interval_minutes" if isinstance(scheduler, Pbt) else "grace_minutes"
        if (getattr(scheduler, name) or 0) > self.minutes:
            raise LocatedError(("scheduler", name), f"it must not exceed minutes, which is {self.minutes:g}")
        if not isinstance(scheduler, Pbt):
            return
        if self.search.kind != "random":
            raise LocatedError(("search",), f"pbt needs search: random, not {self.search.kind}")
        if self.budget.concurrent is not None:
            sentence = (
                "pbt starts all trials to compare them, so it cannot be given; set resources.cpu to run fewer at a time"
            )
            raise LocatedError(("budget", "concurrent"), sentence)
        for dimension in scheduler.mutate or ():
            if dimension not in self.space:
                sentence = str(UnknownNameError.among("dimension", dimension, self.space))
                raise LocatedError(("scheduler", "mutate"), sentence)
            if why := _fixed(dimension, self.space):
                raise LocatedError(("scheduler", "mutate"), f"{dimension!r} cannot change during training: {why}")
        if not self.mutated:
            reasons = "; ".join(f"{name!r}: {_fixed(name, self.space)}" for name in self.space)
            raise LocatedError(("scheduler",), f"pbt has no dimension to mutate; {reasons}")

    @property
    def draw_count(self) -> int:
        """Draws of what is not grid."""
        return self.budget.trials or 1

    @property
    def mutated(self) -> tuple[str, ...]:
        """The dimensions that pbt mutates; none under another scheduler."""
        if not isinstance(self.scheduler, Pbt):
            return ()
        return self.scheduler.mutate or tuple(name for name in self.space if not _fixed(name, self.space))

    @property
    def modes(self) -> tuple[Literal["min", "max"], ...]:
        """Whether little or much of each metric is good."""
        return tuple(METRICS[name].mode for name in self.metric)


def read_sweep(file: Path) -> Sweep:
    """Reads a sweep's YAML file.

    Raises:
      MosimError: the file is missing or wrong; names it, the line, the key, and what is allowed.
    """
    return read_yaml_model(file, Sweep)


def _never(name: str, dimension: Dimension, value: Scalar) -> str:
    shown = json.dumps(value)
    if dimension.options is not None:
        return f"{name!r} is never {shown}; allowed are: {', '.join(map(json.dumps, dimension.options.labels))}"
    return f"{name!r} ({dimension.kind_name}) is never exactly {shown}"


def _fixed(name: str, space: Mapping[str, Dimension]) -> str:
    """Why a dimension stays as it is during a trial's training; empty where it need not."""
    dimension = space[name]
    if dimension.grid is not None:
        return "it is a grid dimension"
    if dimension.when or any(name in other.when for other in space.values()):
        return "it has a condition, or another dimension has a condition on it"
    labels = dimension.options.labels if dimension.options is not None else (0,)
    changed = {each for label in labels for each in dimension.kind.changes(name, label)}
    fields = [_STAGE_FIELD.fullmatch(each) for each in changed]
    if not all(field and field[1] not in _OF_MOMENTS for field in fields):
        return "only fields of stages can change, such as stages.0.learning_rate, except learns and optimizer"
    return ""
