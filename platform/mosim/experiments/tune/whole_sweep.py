"""A sweep from its plan to its conclusion: data, trials, and what they leave behind."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ray

from mosim.core.errors import MosimError
from mosim.core.run_identity import keep_identity
from mosim.experiments.pipeline import collect_wanted, note
from mosim.experiments.sweep import PolicyPlan, SimulatorPlan, SweepPlan
from mosim.experiments.tune.conclusion import Conclusion, conclude
from mosim.experiments.tune.driver import run_sweep
from mosim.experiments.tune.results import TrialResult, reports_of
from mosim.experiments.tune.watcher import SweepWatcher
from mosim.jobs import ray_cluster
from mosim.tasks import load_system
from mosim.tracking import TrackedRun


class SweepResults(NamedTuple):
    """What a sweep has come to.

    Attributes:
      trials: every trial's end, in the order of their numbers.
      conclusion: the best of them.
      dataset: where the data lie that simulators were trained on; None of a sweep of policies.
    """

    trials: list[TrialResult]
    conclusion: Conclusion
    dataset: str | None


def run_whole_sweep(
    plan: SimulatorPlan | PolicyPlan,
    storage: str,
    out: Path,
    *,
    address: str | None,
    resume: bool,
    device: str,
    tracked: TrackedRun,
) -> SweepResults:
    """Runs the trials that are left, tracked, and writes down what has come of all.

    Args:
      plan: the sweep.
      storage: where trials keep checkpoints, a path or a URI.
      out: folder of results.
      address: of a Ray cluster, as for `mosim.jobs.ray_cluster.started`.
      resume: whether to go on with the sweep in `storage`.
      device: a torch device, or `auto` for CUDA where the sweep gives trials a GPU.
      tracked: whose children the trials are.
    """
    tracked.log_parameters({"sweep": plan.sweep.model_dump(mode="json"), "storage": storage})
    with ray_cluster.started(address=address):
        dataset = _dataset(plan, storage)
        keep_identity(storage, plan.identity)
        with SweepWatcher(plan.sweep, tracked, plan.trial_count) as watcher:
            results = run_sweep(
                plan,
                storage,
                dataset=dataset,
                resume=resume,
                device=_device(plan, device),
                on_event=watcher.reported,
            )
        watcher.settle(results, {result.trial: reports_of(storage, result.trial) for result in results})
    conclusion = conclude(plan, results, out, tracked)
    tracked.describe(note(conclusion.table))
    return SweepResults(results, conclusion, dataset)


@contextlib.contextmanager
def full_disks_told(storage: str, out: Path) -> Iterator[None]:
    """Has a disk without room end the command with a sentence, whoever it was that could not write."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        places = " or ".join(dict.fromkeys((storage, str(out))))
        raise MosimError(
            f"no space left on device, in {places}; free some space, then run the same command with --resume to "
            "continue."
        ) from None


def _dataset(plan: SimulatorPlan | PolicyPlan, storage: str) -> str | None:
    """Where the data lie that simulators are trained on; collected where they are missing."""
    if isinstance(plan, PolicyPlan):
        return None
    if plan.dataset is not None:
        return plan.dataset
    workers = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    system, wanted = load_system(plan.source, allow_imports=True), plan.sweep.data.training
    return collect_wanted(system, f"{storage}/data", wanted, workers, f"collect {plan.facts.name}").uri


def _device(plan: SweepPlan, device: str) -> str:
    # Not what this machine has: trials may run on others.
    return ("cuda" if plan.sweep.resources.gpu else "cpu") if device == "auto" else device
