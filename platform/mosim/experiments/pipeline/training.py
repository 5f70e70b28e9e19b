"""Training with a progress bar a stage, its losses tracked; shared by `mosim train` and `mosim run`."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
from rich.progress import Progress, TaskID

from mosim.core.console import console, progress_bar, warn
from mosim.core.errors import MosimError
from mosim.core.threads import torch_threads
from mosim.data import Dataset
from mosim.jobs import ray_cluster
from mosim.models import ModelConfig
from mosim.robots import SystemFacts, require_fit
from mosim.tracking import TrackedRun
from mosim.training import Recipe, Report, Trainer, TrainingData, read_checkpoint, train_data_parallel
from mosim_analysis import metric_names

_BAR_GRAIN = 1000
"""Parts of a stage's bar; stages are measured in steps or in minutes, bars in neither."""


def train_simulator(
    *,
    system: str,
    facts: SystemFacts,
    recipe: Recipe,
    datasets: Sequence[Dataset],
    out: Path,
    device: str,
    threads: int,
    resume: bool,
    compile_steps: bool = False,
    workers: int = 1,
    address: str | None = None,
    weights: Path | None = None,
    tracked: TrackedRun,
) -> Path:
    """Trains a simulator, or goes on with one, and returns the path of its last checkpoint.

    Args:
      system: what `mosim.tasks.load_system` takes.
      facts: of that system; the datasets' must be the same.
      recipe: the model and the stages.
      datasets: trajectories of that system; of several, their union.
      out: folder of the training run.
      device: a torch device.
      threads: torch's threads.
      resume: whether to go on with a run that `out` holds.
      compile_steps: whether torch.compile makes one-step stages faster.
      workers: processes that share each batch; a single one is this process itself.
      address: of the Ray cluster whose processes they are, as for `mosim.jobs.ray_cluster.started`.
      weights: as for `Trainer`.
      tracked: takes parameters, losses, rates and the horizon error after each stage.
    """
    for dataset in datasets:
        require_fit(dataset.facts, facts, f"the dataset at {dataset.uri}")
    options: dict[str, Any] = {
        "system": system,
        "recipe": recipe,
        "out": out,
        "device": device,
        "compile_steps": compile_steps,
        "resume": resume,
        "weights": weights,
    }
    train: Callable[[Callable[[Report], None]], Path]
    if workers == 1:
        train = Trainer(data=TrainingData.load(*datasets), **options).run
    else:
        shared = {"address": address, "datasets": datasets, "workers": workers, "threads": threads}
        train = functools.partial(_train_in_workers, **shared, **options)
    tracked.log_parameters({**recipe.model_dump(mode="json"), "system": system, "device": device, "workers": workers})
    stages = ", ".join(stage.name for stage in recipe.stages)
    episodes = recipe.episodes or sum(dataset.metadata.episodes for dataset in datasets)
    tracked.describe(f"A simulator of {facts.name} from {episodes} episodes, in stages: {stages}.")
    ids = "+".join(dataset.id for dataset in datasets)
    tracked.set_tags({"dataset.id": ids, "system": facts.name, **model_tags(recipe.model)})
    with torch_threads(threads), progress_bar() as progress:
        bars = [
            progress.add_task(f"train {stage.name}", total=_BAR_GRAIN, status="", start=False)
            for stage in recipe.stages
        ]
        checkpoint = train(lambda report: _show(report, progress, bars, tracked))
    tracked.set_tags({"simulator": read_checkpoint(checkpoint).id})
    return checkpoint


def _train_in_workers(
    on_report: Callable[[Report], None], *, address: str | None, datasets: Sequence[Dataset], **options: Any
) -> Path:
    with ray_cluster.started(address=address):
        return train_data_parallel(data=ray.put(TrainingData.load(*datasets)), on_report=on_report, **options)


def model_tags(model: ModelConfig) -> dict[str, str]:
    """The tags by which MLflow tells kinds of simulators apart."""
    return {"model.structure": model.structure, "model.knowledge": model.knowledge}


def pick_device(device: str) -> str:
    """`auto` as CUDA where there is one, else the CPU; anything else as it is.

    Raises:
      MosimError: a CUDA device is asked for and there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MosimError(f"--device {device}: torch sees no CUDA device here; use --device cpu.")
    return device


def _show(report: Report, progress: Progress, bars: list[TaskID], tracked: TrackedRun) -> None:
    for finished in bars[: report.stage]:
        progress.update(finished, completed=_BAR_GRAIN)
    status = f"loss {report.loss:.3g}, {report.samples_per_second:,.0f} samples/s"
    if report.validation is not None:
        status = f"loss {report.loss:.3g}, horizon error at 16: {report.validation:.3g}"
    progress.start_task(bars[report.stage])
    progress.update(bars[report.stage], completed=round(_BAR_GRAIN * report.progress), status=status)
    track_report(report, tracked)
    for sentence in filter(None, (report.found, report.note)):
        console.print(sentence)
    if report.worse_than_no_change:
        warn(
            f"the simulator predicts worse than persistence: its horizon error at 16 is {report.validation:.3g}, that "
            f"of persistence {report.persistence:.3g}. The training's messages above may explain why. Otherwise there "
            "are too few data, or there are contacts that the simulator does not model (of height fields)."
        )


def track_report(report: Report, tracked: TrackedRun) -> None:
    """Tracks losses, rates and cost by gradient step, and the stage."""
    metrics = {
        metric_names.LOSS: report.loss,
        metric_names.LEARNING_RATE: report.learning_rate,
        metric_names.SAMPLES_PER_SECOND: report.samples_per_second,
        metric_names.CALLS_PER_PHYSICS_STEP: report.calls_per_step,
        metric_names.STAGE: report.stage,
        metric_names.SAMPLES: report.samples,
        metric_names.TRAIN_SECONDS: report.seconds,
    }
    if report.validation is not None:
        metrics[metric_names.validation_error()] = report.validation
    tracked.log_metrics(metrics, step=report.step)
    tracked.set_tags({"stage": report.name})
