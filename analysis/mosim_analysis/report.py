"""What a page shows of an experiment, in order, before it is HTML."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mosim_analysis import figures, metric_names, names
from mosim_analysis.differences import differences
from mosim_analysis.headline import Finding, horizon_findings, return_findings
from mosim_analysis.importance import importance
from mosim_analysis.metric_names import COST_HORIZON
from mosim_analysis.names import Style
from mosim_analysis.results import Results
from mosim_analysis.task_frames import TaskFrames, task_frames

_LEADS = {
    "horizon": (
        "Mean squared error of open-loop predictions over steps 1..H. Thick lines are medians over a group's runs, "
        "shaded areas their 95% bootstrap intervals, and thin lines single runs; a cross marks where a run diverges. "
        "A simulator near persistence has learned nothing; no simulator can stay below the chaos floor."
    ),
    "dimensions": (
        "Median over the runs of each group; light colours are large errors. Positions and velocities have different "
        "units."
    ),
    "loss": (
        "Loss against gradient steps: a thin line for each run, a thick line for the median of a group. A diamond "
        "marks the end of a stage. Stages may have different losses, so compare runs within a stage."
    ),
    "cost": (
        f"Horizon error at {COST_HORIZON} on validation episodes, measured at the end of each stage, and in a sweep "
        "with each report of a trial."
    ),
    "speed": (
        "One point per run; down and to the right is better. The stepped line is the Pareto front: the runs that no "
        "other run beats in both."
    ),
    "sweep": "One line per trial, through its settings to its error; darker lines have lower errors.",
    "importance": (
        "Fraction of the variance of the log error that each setting explains over the search space, by itself and "
        "in interaction with others."
    ),
    "returns": (
        "Policies trained in a simulator alone, during their training. Solid lines are returns in the true task, "
        "dashed lines returns in the simulator, and shaded areas the gaps between them. Dotted lines are the same "
        "recipe trained in the true task. For several runs, lines are interquartile means with 95% intervals."
    ),
}


@dataclass(frozen=True)
class Section:
    """A figure with its words.

    Attributes:
      key: unique within its task; `horizon`, `dimensions`, ...
      title: of the section.
      lead: how to read it.
      figure: None where there is nothing to draw.
      excuse: why there is nothing; empty where there is a figure.
    """

    key: str
    title: str
    lead: str = ""
    figure: go.Figure | None = None
    excuse: str = ""


@dataclass(frozen=True)
class TaskReport:
    """All about one task.

    Attributes:
      task: its name.
      findings: the headline.
      sections: figures.
      differences: of `differences`.
      runs: of `TaskFrames`.
    """

    task: str
    findings: list[Finding]
    sections: list[Section]
    differences: pd.DataFrame
    runs: pd.DataFrame


def report(results: Results) -> tuple[list[TaskReport], dict[str, Style]]:
    """The reports of all tasks of an experiment, and the style of each group in all of them."""
    styles = names.styles(map(str, results.runs["group"].dropna()))
    return [_of_task(frames, styles) for frames in task_frames(results)], styles


def _of_task(frames: TaskFrames, styles: dict[str, Style]) -> TaskReport:
    drawn = frames.runs[~frames.runs["baselines"]]
    return TaskReport(
        task=frames.task,
        findings=[*horizon_findings(frames.curves), *return_findings(frames.returns)],
        sections=[
            _horizon(frames, styles),
            _dimensions(frames),
            _losses(frames, styles),
            *_costs(frames, styles),
            _speed(frames, styles),
            *_sweeps(frames),
            _returns(frames, styles),
        ],
        differences=differences(frames.parameters.loc[drawn.index], drawn["group"]),
        runs=frames.runs,
    )


def _horizon(frames: TaskFrames, styles: dict[str, Style]) -> Section:
    title = "Horizon error"
    if not len(frames.curves):
        return Section("horizon", title, excuse="No run has logged a horizon curve (horizon_mse/...).")
    return Section("horizon", title, _LEADS["horizon"], figures.horizon_curves(frames.curves, styles))


def _dimensions(frames: TaskFrames) -> Section:
    title, rows = "Error by dimension of the state", frames.dimensions
    if not ((rows["mse"] > 0) & np.isfinite(rows["mse"])).any():
        return Section("dimensions", title, excuse="No run has logged errors by dimension (state_mse_.../...).")
    return Section("dimensions", title, _LEADS["dimensions"], figures.dimension_errors(rows))


def _losses(frames: TaskFrames, styles: dict[str, Style]) -> Section:
    title = "Training loss"
    if not (frames.training["loss"] > 0).any():
        return Section("loss", title, excuse=f"No run has logged losses ({metric_names.LOSS}).")
    return Section("loss", title, _LEADS["loss"], figures.loss_curves(frames.training, styles))


def _costs(frames: TaskFrames, styles: dict[str, Style]) -> Iterator[Section]:
    for cost, title, metric in (
        ("samples", "Error against training samples", metric_names.SAMPLES),
        ("seconds", "Error against training time", metric_names.TRAIN_SECONDS),
    ):
        rows = frames.costs(cost)
        if len(rows):
            yield Section(cost, title, _LEADS["cost"], figures.error_over_cost(rows, cost, COST_HORIZON, styles))
        else:
            excuse = f"No run has logged both {metric} and {metric_names.validation_error()}."
            yield Section(cost, title, excuse=excuse)


def _speed(frames: TaskFrames, styles: dict[str, Style]) -> Section:
    title = "Error against speed"
    if not len(frames.speeds):
        return Section("speed", title, excuse=f"No run has logged {metric_names.ROLLOUT_SPEED} and a horizon error.")
    drawn = figures.error_over_speed(frames.speeds, frames.horizon, styles)
    return Section("speed", title, _LEADS["speed"], drawn)


def _sweeps(frames: TaskFrames) -> Iterator[Section]:
    sweeps = list(frames.sweeps())
    if not sweeps:
        yield Section("sweep", "Sweeps", excuse="There are no sweep trials.")
    for number, (sweep, trials, settings) in enumerate(sweeps):
        title, measured = f"Sweep “{sweep}”", trials[np.isfinite(trials["mse"]) & (trials["mse"] > 0)]
        if not len(measured) or not settings:
            said = (
                "All trials have the same settings."
                if len(measured)
                else f"No trial has an error at {frames.horizon} yet."
            )
            yield Section(f"sweep-{number}", title, excuse=said)
        else:
            drawn = figures.parallel_coordinates(measured, settings, frames.horizon)
            yield Section(f"sweep-{number}", title, _LEADS["sweep"], drawn)
        title, found = f"Importance of settings in “{sweep}”", importance(trials, settings)
        if found.excuse:
            yield Section(f"importance-{number}", title, excuse=found.excuse)
        else:
            left_out = f" Omitted, since only some trials have them: {', '.join(found.left_out)}."
            lead = _LEADS["importance"] + left_out * bool(found.left_out)
            yield Section(f"importance-{number}", title, lead, figures.importances(found))


def _returns(frames: TaskFrames, styles: dict[str, Style]) -> Section:
    title = "Zero-shot returns"
    if not len(frames.returns):
        return Section("returns", title, excuse="No run has logged returns (return/true_mean).")
    drawn = figures.returns_against_truth(frames.returns, frames.random_return, styles)
    return Section("returns", title, _LEADS["returns"], drawn)
