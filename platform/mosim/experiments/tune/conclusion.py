"""What a sweep leaves behind: the table of its trials, the best one's checkpoint and recipe, and how to go on."""

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from rich.table import Table

from mosim.core.files import atomic_folder, sha256, write_text
from mosim.core.storage import Folder
from mosim.experiments.sweep import CURVE, PolicyPlan, SimulatorPlan, seed_folder
from mosim.experiments.tune.results import TRIALS_FILE, TrialResult, best_first, pareto_front, trial_table, write_trials
from mosim.experiments.tune.watcher import result_rows
from mosim.pyfunc import save_model
from mosim.robots import label_of
from mosim.tracking import TrackedRun
from mosim_analysis import metric_names

BEST_FOLDER, BEST_RECIPE, _MODELS = "best", "best.yaml", "models"
"""Of the output folder: the best trial's checkpoint, its recipe at full length, and models as MLflow takes them."""

_CHECKPOINT = "checkpoint.json"
"""The file of a checkpoint that holds the checksums of the others."""

_SHOWN = 10
"""Trials in the table at the end."""


class Conclusion(NamedTuple):
    """What there is to show.

    Attributes:
      table: the best trials, or of several metrics those that no other beats.
      trials: the path of `trials.csv`.
      best: the folder of the best trial's simulator or policy; None where no trial has a checkpoint.
      recipe: the path of its recipe.
    """

    table: Table
    trials: Path
    best: Path | None
    recipe: Path | None


def conclude(
    plan: SimulatorPlan | PolicyPlan, results: Sequence[TrialResult], out: Path, tracked: TrackedRun
) -> Conclusion:
    """Writes `trials.csv`, copies the best trial out, and tracks both; the best simulator is registered as a model."""
    sweep = plan.sweep
    table = trial_table(results, sweep)
    write_trials(table, out / TRIALS_FILE)
    tracked.log_artifact(out / TRIALS_FILE)
    ranked = best_first(results, sweep)
    several = len(sweep.metric) > 1
    front = pareto_front(results, sweep) if several else ranked[:_SHOWN]
    title = "Pareto-optimal trials" if several else f"best of {len(results)} trials"
    shown = result_rows(front, sweep, f"{sweep.name}: {title}")
    best = next((result for result in ranked if result.checkpoint), None)
    if best is None or best.checkpoint is None:
        return Conclusion(shown, out / TRIALS_FILE, None, None)
    seed = _best_seed(best, plan)
    inside = seed_folder(seed) if isinstance(plan, SimulatorPlan) else f"{seed_folder(seed)}/policy"
    folder = _copied(f"{best.checkpoint}/{inside}", out / BEST_FOLDER)
    recipe = out / BEST_RECIPE
    origin = f"# Recipe of trial {best.trial} of the sweep {sweep.name}, with the training length of the base recipe.\n"
    content = plan.full_recipe(best.draw, seed).model_dump(mode="json")
    write_text(recipe, origin + yaml.safe_dump(content, sort_keys=False))
    tracked.log_artifact(recipe)
    tracked.set_tags({"best.trial": best.trial, "best.status": best.status})
    tracked.log_parameters({"best": best.draw})
    scores = {name: best.report[name] for name in sweep.metric}
    tracked.log_metrics({f"best/{name}": score for name, score in scores.items()}, step=len(results))
    for step, error in enumerate(best.report.get(CURVE) or [], 1):
        tracked.log_metrics({metric_names.VALIDATION_CURVE: error}, step=step)
    if isinstance(plan, SimulatorPlan) and folder is not None:
        # A trial that was the best when the sweep was interrupted has another model once it has gone on.
        model = save_model(folder, out / _MODELS / f"{best.trial}-{sha256(folder / _CHECKPOINT)[:8]}")
        tags = {name: f"{score:.6g}" for name, score in scores.items()}
        tracked.register_model(model, f"mosim-{label_of(sweep.task)}", tags)
    return Conclusion(shown, out / TRIALS_FILE, folder, recipe)


def full_training(plan: SimulatorPlan | PolicyPlan, recipe: Path, dataset: str | None) -> str:
    """The command that trains by the best trial's recipe at full length."""
    shown, place = os.path.relpath(recipe), os.path.relpath(f"{recipe.parent}-full")
    if isinstance(plan, PolicyPlan):
        simulator = os.path.relpath(plan.simulator)
        data = _data(plan.data if plan.sweep.data.path else None)
        arguments = ["zero-shot", simulator, "--task", plan.sweep.task, "--recipe", shown, *data, "--out", place]
    else:
        arguments = ["train", plan.source, "--recipe", shown, *_data(dataset), "--out", place]
    return shlex.join(["mosim", *arguments])


def _data(dataset: str | None) -> list[str]:
    return [] if dataset is None else ["--data", dataset if "://" in dataset else os.path.relpath(dataset)]


def _best_seed(result: TrialResult, plan: SimulatorPlan | PolicyPlan) -> int:
    """The seed of a trial that did best by the first metric, where trials tell; else the first."""
    sweep = plan.sweep
    sign = 1 if sweep.modes[0] == "min" else -1
    said = {seed: result.report.get(f"{sweep.metric[0]}/{seed_folder(seed)}") for seed in sweep.seeds}
    told = {seed: sign * value for seed, value in said.items() if value is not None}
    return min(told, key=lambda seed: told[seed], default=sweep.seeds[0])


def _copied(location: str, folder: Path) -> Path | None:
    """A copy of a folder of files, in the place of an earlier one; None where it is empty."""
    source = Folder.at(location)
    names = source.names()
    if not names:
        return None
    with atomic_folder(folder) as aside:
        for name in names:
            (aside / name).write_bytes(source.read(name))
        shutil.rmtree(folder, ignore_errors=True)  # Only now that the new one is whole.
    return folder
