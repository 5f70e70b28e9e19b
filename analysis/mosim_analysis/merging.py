"""From MLflow's runs to what a user calls one run, such as `mosim run` with its phases, or a trial of a sweep."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from mosim_analysis import names
from mosim_analysis.errors import AnalysisError
from mosim_analysis.metric_names import HORIZON_CURVE

if TYPE_CHECKING:
    from mlflow.entities import Run

_PARENT, _PHASE, _TASK, _VARIANT, _SIMULATOR = "mlflow.parentRunId", "phase", "task", "variant", "simulator"

_CONTAINERS = ("study", "sweep")
"""Phases whose runs hold others; they are shown only where they failed."""

_NOT_RESULTS = ("compare", "collect", "ui")

_SHOWN_TAGS = ("model.structure", "model.knowledge", "dataset.id", "dataset.heldout.id", "variant")
"""Tags that tell runs apart as parameters do."""

_ENDED_BADLY = ("FAILED", "KILLED")


class Part(NamedTuple):
    """One of MLflow's runs, as a part of a `Merged`; `policy` says whose returns it holds."""

    run: "Run"
    policy: str


@dataclass(frozen=True)
class Merged:
    """What a user calls a run.

    Attributes:
      id: MLflow's, of the uppermost part.
      name: unique.
      phase: what it is: the `phase` tag of the uppermost part, or empty.
      task: what it simulates; runs of different tasks are never compared.
      variant: the name that a study or a sweep has for what it tries, or empty.
      sweep: the name of the sweep that it is a trial of, or empty.
      seed: where it has one.
      baselines: whether it measures persistence and the chaos floor alone.
      status, failure, started: MLflow's status, why it failed, and when it began.
      parameters: of all parts; those of policies under `policy.`.
      parts: the uppermost first.
    """

    id: str
    name: str
    phase: str
    task: str
    variant: str
    sweep: str
    seed: int | None
    baselines: bool
    status: str
    failure: str
    started: pd.Timestamp
    parameters: dict[str, str]
    parts: tuple[Part, ...]


def merge(runs: "Sequence[Run]", only: Sequence[str] = ()) -> list[Merged]:
    """Merges MLflow's runs.

    Args:
      runs: all of an experiment.
      only: see `mosim_analysis.read_results`.

    Raises:
      AnalysisError: one of `only` is no run of the experiment.
    """
    by_id = {run.info.run_id: run for run in runs}
    owners = {run_id: _owner(run, by_id) for run_id, run in by_id.items()}
    owners |= _evaluations(runs, owners)
    chosen = _chosen(runs, by_id, owners, only)
    families: dict[str, list[Run]] = {}
    for run in runs:
        if owners[run.info.run_id] in chosen:
            families.setdefault(owners[run.info.run_id], []).append(run)
    merged = [
        _merged(by_id[owner], sorted(family, key=lambda run: run.info.run_id != owner), by_id)
        for owner, family in families.items()
        if not _phase(by_id[owner]).startswith(_NOT_RESULTS)
        and (_phase(by_id[owner]) not in _CONTAINERS or by_id[owner].info.status in _ENDED_BADLY)
    ]
    return _named_apart(merged)


def _phase(run: "Run") -> str:
    return run.data.tags.get(_PHASE, "")


def _parent(run: "Run", by_id: "dict[str, Run]") -> "Run | None":
    return by_id.get(run.data.tags.get(_PARENT, ""))


def _owner(run: "Run", by_id: "dict[str, Run]") -> str:
    """The uppermost run above, as far as these are phases of one and not runs of a study or trials of a sweep."""
    parent = _parent(run, by_id)
    while parent is not None and _phase(parent) not in _CONTAINERS:
        run, parent = parent, _parent(parent, by_id)
    return run.info.run_id


def _evaluations(runs: "Sequence[Run]", owners: dict[str, str]) -> dict[str, str]:
    """Trainings as the owners of the last evaluation of their simulator, where both were commands of their own."""
    alone = [run for run in runs if owners[run.info.run_id] == run.info.run_id and _SIMULATOR in run.data.tags]
    trainings = {run.data.tags[_SIMULATOR]: run.info.run_id for run in alone if _phase(run) == "train"}
    last = {run.data.tags[_SIMULATOR]: run.info.run_id for run in alone if _phase(run) == "evaluate"}
    return {last[simulator]: training for simulator, training in trainings.items() if simulator in last}


def _chosen(runs: "Sequence[Run]", by_id: "dict[str, Run]", owners: dict[str, str], only: Sequence[str]) -> set[str]:
    if not only:
        return set(owners.values())
    chosen = set()
    for wanted in only:
        named = {run.info.run_id for run in runs if run.info.run_id.startswith(wanted) or run.info.run_name == wanted}
        if not named:
            raise AnalysisError(f"the experiment has no run {wanted!r}; give an id, its beginning, or a name.")
        for run in runs:
            above: Run | None = run
            while above is not None:
                if above.info.run_id in named:
                    chosen.add(owners[run.info.run_id])
                above = _parent(above, by_id)
    # What baselines a study has belongs to each of its runs.
    parents = {by_id[owner].data.tags.get(_PARENT) for owner in chosen} - {None}
    return chosen | {run.info.run_id for run in runs if _is_baselines(run) and run.data.tags.get(_PARENT) in parents}


def _is_baselines(run: "Run") -> bool:
    curves = [metric for metric in run.data.metrics if metric.startswith(HORIZON_CURVE)]
    return bool(curves) and all(curve.removeprefix(HORIZON_CURVE) in names.BASELINES for curve in curves)


def _merged(root: "Run", family: "list[Run]", by_id: "dict[str, Run]") -> Merged:
    parent = _parent(root, by_id)
    parts = tuple(Part(run, _policy(run)) for run in family)
    parameters: dict[str, str] = {}
    for part in parts:
        prefix = "policy." if part.policy and "algorithm" in part.run.data.params else ""
        parameters = {f"{prefix}{name}": value for name, value in part.run.data.params.items()} | parameters
        parameters |= {tag: part.run.data.tags[tag] for tag in _SHOWN_TAGS if tag in part.run.data.tags}
    task = _task(root, parent, parameters)
    sweep = "" if parent is None or _phase(parent) != "sweep" else _last_word(parent)
    reasons = [run.data.tags.get("failure", "") for run in family if run.info.status in _ENDED_BADLY]
    return Merged(
        id=root.info.run_id,
        name=root.info.run_name or root.info.run_id,
        phase=_phase(root),
        task=task,
        variant=sweep or root.data.tags.get(_VARIANT, ""),
        sweep=sweep,
        seed=_seed(root, parameters),
        baselines=_is_baselines(root),
        status=_status(root),
        failure=next((reason for reason in reasons if reason), "") or root.data.tags.get("failure", ""),
        started=pd.Timestamp(root.info.start_time, unit="ms", tz="UTC"),
        parameters=parameters,
        parts=parts,
    )


def _status(run: "Run") -> str:
    """MLflow's; a trial that failed is said to have failed whatever its run's status."""
    return "FAILED" if run.data.tags.get("status") == "failed" else run.info.status


def _policy(run: "Run") -> str:
    """Whose returns a run holds; empty where it is none of a policy."""
    if _phase(run) == names.TRUE_TRAINED or run.info.run_name == names.TRUE_TRAINED:
        return names.TRUE_TRAINED
    return names.ZERO_SHOT


def _task(root: "Run", parent: "Run | None", parameters: dict[str, str]) -> str:
    tags = root.data.tags
    if tags.get(_TASK) and _phase(root) not in _CONTAINERS:
        return tags[_TASK]
    above = {} if parent is None else parent.data.params
    known = parameters.get("task") or parameters.get("system") or above.get("sweep.task")
    return known or tags.get("system", "")


def _seed(root: "Run", parameters: dict[str, str]) -> int | None:
    said = parameters.get("seed") or (root.info.run_name or "").rpartition("seed-")[2]
    return int(said) if said.isdigit() else None


def _last_word(run: "Run") -> str:
    return (run.info.run_name or "").removeprefix("sweep ")


def _named_apart(merged: list[Merged]) -> list[Merged]:
    """Runs of one name get their seeds, or else the beginnings of their ids, after it."""
    shared, seeds = Counter(each.name for each in merged), Counter((each.name, each.seed) for each in merged)

    def apart(each: Merged) -> str:
        if shared[each.name] == 1:
            return each.name
        told = each.seed is not None and seeds[each.name, each.seed] == 1
        return f"{each.name}, seed {each.seed}" if told else f"{each.name} ({each.id[:6]})"

    return [replace(each, name=apart(each)) for each in merged]
