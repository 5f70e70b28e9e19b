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
    "horizon_mse/16": Metric("simulator", "min", "horizon error at 16 physics steps, on the validation episodes"),
    "horizon_mse/100": Metric("simulator", "min", "horizon error at 100 physics steps, on the validation episodes"),
    "samples_per_second": Metric("simulator", "max", "physics steps of training data a second"),
    "rollout_steps_per_second": Metric("simulator", "max", "physics steps predicted a second, open loop"),
    "true_return": Metric("policy", "max", "mean return in the true task"),
    "simulated_return": Metric("policy", "max", "mean return in the simulator"),
}


class SweepData(StandardData):
    """The data that simulators are trained on: those that lie somewhere, or else standard data to be collected."""

    path: str | None = Field(
        default=None,
        description="A dataset's path or URI, instead of collecting any; a relative one is beside the sweep's file.",
    )

    @model_validator(mode="after")
    def _given_or_collected(self) -> Self:
        if self.path is not None and (odd := sorted(self.model_dump(exclude={"path"}, exclude_defaults=True))):
            raise LocatedError((odd[0],), "it is for data to be collected, and data.path names some that are there")
        return self


class Budget(Frozen):
    """How much a sweep may take."""

    trials: int | None = Field(
        default=None,
        ge=1,
        description="Draws of what is not grid, each of which meets every point of the grid; 1 if there is a grid and "
        "nothing is said. Draws that come out the same are tried once.",
    )
    minutes: FiniteFloat | None = Field(
        default=None, gt=0, description="Wall clock of the whole sweep; null for no limit."
    )
    concurrent: int | None = Field(
        default=None, ge=1, description="Trials at a time; null for as many as the resources allow."
    )


class Resources(Frozen):
    """What a trial occupies."""

    cpu: FiniteFloat = Field(default=1.0, gt=0, description="Cores.")
    gpu: FiniteFloat = Field(default=0.0, ge=0, description="GPUs; a share of one, such as 0.25, or whole ones.")

    @model_validator(mode="after")
    def _whole_above_one(self) -> Self:
        for name, amount in (("cpu", self.cpu), ("gpu", self.gpu)):
            if amount > 1 and amount != int(amount):
                raise LocatedError((name,), f"more than 1 must be a whole number, and {amount:g} is not")
        return self


class Sweep(Frozen):
    """Trials of one training, whose settings are drawn from a space, and what is wanted of them."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$", description="Also of the output folder, runs/NAME.")
    trains: Trained = Field(default="simulator", description="What a trial trains.")
    task: str = Field(description="A task as domain-task, or the path of an MJCF file beside the sweep's file.")
    data: SweepData = Field(
        default=SweepData(),
        description="Of simulators: a dataset, or how to collect one; by default standard data. Of policies that start "
        "in states of data: the path alone; by default the data that the simulator was trained on.",
    )
    simulator: Path | None = Field(
        default=None,
        description="Of policies: the checkpoint, or the folder of a training run, in which they are trained; relative "
        "to the working directory.",
    )
    recipe: str | None = Field(
        default=None,
        description="What trials change: a YAML file beside the sweep's file; geometry or arrays, for the system's "
        "recipe of that level of knowledge; or the name of a simulator's recipe that mosim ships, such as general. By "
        "default the system's own, and a policy's that of the task.",
    )
    set: dict[str, Any] = Field(default={}, description="Values of the recipe by dotted name, the same in all trials.")
    minutes: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="Wall clock of the training of a simulator, for each trial and seed; by default as long as its "
        "recipe says. Policies train for control_steps.",
    )
    space: dict[str, Dimension] = Field(
        min_length=1,
        description="What is searched: dimensions by dotted names of the recipe, or by any name where a dimension's "
        "options are labelled changes of the recipe.",
    )
    metric: tuple[str, ...] = Field(min_length=1, description="What is to be good, or a list of what is.")
    scheduler: Scheduler = Field(default=NoScheduler(), description="asha, pbt, median or none, or a mapping.")
    search: Search = Field(default=RandomSearch(), description="random or optuna, or a mapping.")
    budget: Budget = Field(default=Budget(), description="How much the sweep may take.")
    resources: Resources = Field(default=Resources(), description="What a trial occupies.")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        default=(0,), min_length=1, description="A trial trains with each; its score is the median over them."
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of the drawing of trials.")
    report_seconds: FiniteFloat = Field(default=10.0, gt=0, description="Of training, between two reports of a trial.")
    share_predictors: bool = Field(
        default=True,
        description="Whether simulators that differ only after the stages before their first corrector's start from "
        "one predictor, trained once; not under pbt.",
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
            raise LocatedError(("seeds",), "seeds must differ from one another")
        return self

    def _check_trained(self) -> None:
        simulators = self.trains == "simulator"
        if simulators and self.simulator is not None:
            raise LocatedError(("simulator",), "only a sweep that trains a policy trains in a simulator")
        if simulators:
            return
        if self.simulator is None:
            raise LocatedError(("simulator",), "a policy is trained in a simulator; give the folder of a training run")
        if self.minutes is not None:
            raise LocatedError(("minutes",), "a policy is trained for control_steps, and not for minutes; set those")
        if self.data.model_dump(exclude={"path"}, exclude_defaults=True):
            raise LocatedError(
                ("data",), "only simulators are trained on data; a policy can start in those of data.path"
            )

    def _check_metric(self) -> None:
        known = [name for name, metric in METRICS.items() if metric.of == self.trains]
        for name in self.metric:
            if name not in known:
                raise LocatedError(("metric",), str(UnknownNameError.among(f"metric of a {self.trains}", name, known)))
        if len(set(self.metric)) < len(self.metric):
            raise LocatedError(("metric",), "metrics must differ from one another")
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
                    raise LocatedError(where, f"{parent!r} is no dimension before {name!r}; there are: {listed}")
                for value in values:
                    if not earlier[parent].kind.takes(value):
                        raise LocatedError(where, _never(parent, earlier[parent], value))
            earlier[name] = dimension

    def _check_search(self) -> None:
        grids = [name for name, dimension in self.space.items() if dimension.grid is not None]
        if grids and self.search.kind != "random":
            raise LocatedError(("space", grids[0], "grid"), f"a grid needs search: random, not {self.search.kind}")
        if not grids and self.budget.trials is None:
            raise LocatedError(("budget", "trials"), "without a grid in the space, a number of trials is needed")

    def _check_scheduler(self) -> None:
        scheduler = self.scheduler
        if isinstance(scheduler, NoScheduler):
            return
        if self.minutes is None:
            raise LocatedError(("scheduler",), f"{scheduler.kind} compares trials of equal length; minutes is needed")
        name = "interval_minutes" if isinstance(scheduler, Pbt) else "grace_minutes"
        if (getattr(scheduler, name) or 0) > self.minutes:
            raise LocatedError(("scheduler", name), f"it must be at most minutes, {self.minutes:g}")
        if not isinstance(scheduler, Pbt):
            return
        if self.search.kind != "random":
            raise LocatedError(("search",), f"pbt needs search: random, not {self.search.kind}")
        if self.budget.concurrent is not None:
            sentence = "under pbt all trials are begun, to be compared; give resources.cpu to have fewer run at a time"
            raise LocatedError(("budget", "concurrent"), sentence)
        for dimension in scheduler.mutate or ():
            if dimension not in self.space:
                sentence = str(UnknownNameError.among("dimension", dimension, self.space))
                raise LocatedError(("scheduler", "mutate"), sentence)
            if why := _fixed(dimension, self.space):
                raise LocatedError(("scheduler", "mutate"), f"{dimension!r} cannot change during training: {why}")
        if not self.mutated:
            reasons = "; ".join(f"{name!r}: {_fixed(name, self.space)}" for name in self.space)
            raise LocatedError(("scheduler",), f"pbt has nothing to mutate; {reasons}")

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
        return f"{name!r} is never {shown}; it is one of: {', '.join(map(json.dumps, dimension.options.labels))}"
    return f"{name!r}, a {dimension.kind_name}, is never exactly {shown}"


def _fixed(name: str, space: Mapping[str, Dimension]) -> str:
    """Why a dimension stays as it is during a trial's training; empty where it need not."""
    dimension = space[name]
    if dimension.grid is not None:
        return "it is a grid"
    if dimension.when or any(name in other.when for other in space.values()):
        return "it is under a condition, or is one"
    labels = dimension.options.labels if dimension.options is not None else (0,)
    changed = {each for label in labels for each in dimension.kind.changes(name, label)}
    fields = [_STAGE_FIELD.fullmatch(each) for each in changed]
    if not all(field and field[1] not in _OF_MOMENTS for field in fields):
        return "only fields of stages can, such as stages.0.learning_rate, and not what they learn nor their optimizer"
    return ""
