"""A sweep under Ray Tune: begun, or gone on with."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray import tune
from ray._private.state import state
from ray.exceptions import RayTaskError
from ray.util import client
from ray.util.queue import Queue

from mosim.core.errors import MosimError
from mosim.core.storage import Folder
from mosim.data import Dataset
from mosim.experiments.sweep import TUNE_FOLDER, Pbt, PolicyPlan, SimulatorPlan, SweepPlan, trial_folder
from mosim.experiments.tune.events import Reporter, TrialEvent, listening
from mosim.experiments.tune.policy_trial import train_policy_trial
from mosim.experiments.tune.predictors import Registry
from mosim.experiments.tune.results import TrialResult, result_of
from mosim.experiments.tune.schedulers import EqualHalving, EqualMedian, Recollection, checkpoints_kept, make_scheduler
from mosim.experiments.tune.searchers import make_searcher, trial_config
from mosim.experiments.tune.simulator_trial import train_simulator_trial
from mosim.experiments.tune.tune_state import ReportLogger, StateKeeper, mend_state
from mosim.jobs import ray_cluster
from mosim.training import TrainingData

PREDICTORS_FOLDER = "predictors"
"""Of a sweep's storage."""

RESTARTS = 3
"""How often a trial whose process dies is taken up again from its last report."""

_TRIALS_WRITTEN_A_SECOND = 100
"""So many trials' state Tune may write down each second, without its loop being held up."""

_TUNE_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # Relative paths go on meaning what they mean to the user.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # All their files would be copied with every snapshot.
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Set where the user has not."""


def run_sweep(
    plan: SimulatorPlan | PolicyPlan,
    storage: str,
    *,
    dataset: str | None = None,
    resume: bool = False,
    device: str = "cpu",
    on_event: Callable[[TrialEvent], None] = lambda event: None,
    trainable: Callable[..., Any] | None = None,
) -> list[TrialResult]:
    """Runs a sweep's trials, or those that are left; Ray must have been started.

    A trial whose process dies goes on from its last report, up to `RESTARTS` times. A trial whose training diverges has
    failed, and the others go on.

    Args:
      plan: from `plan_sweep`, checked.
      storage: a folder's path or URI that every node reaches: for Tune's state, checkpoints and shared predictors.
      dataset: where the data lie that simulators are trained on.
      resume: go on with the sweep that `storage` holds, if it holds one. This reads Tune's own state, which is pickled
        and so can run code: do it in storage that only you can write to.
      device: a torch device, where simulators and policies are trained.
      on_event: is told what becomes of trials, from a thread of its own.
      trainable: what trials do, as Ray Tune takes it, in the place of the plan's training: to measure all else.

    Returns:
      A result a trial, those of earlier times included, and those that were interrupted.

    Raises:
      MosimError: `storage` holds a sweep and `resume` is false, or the cluster has no room for a trial.
    """
    with _queue() as queue, listening(queue, on_event):
        run = _run
        if client.ray.is_connected():
            run = _on_cluster(_run)
        return run(plan, storage, dataset, resume, device, queue, trainable)


def _on_cluster(function: Callable[..., Any]) -> Callable[..., Any]:
    """Has a function called in a task; what is far away, such as a laptop, then waits, and is no part of it."""
    task = ray.remote(num_cpus=0, max_retries=0)(function)

    def call(*arguments: Any) -> Any:
        try:
            return ray.get(task.remote(*arguments))
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, MosimError) else error) from None

    return call


def _run(
    plan: SimulatorPlan | PolicyPlan,
    storage: str,
    dataset: str | None,
    resume: bool,
    device: str,
    queue: Queue,
    trainable: Callable[..., Any] | None,
) -> list[TrialResult]:
    _require_room(plan)
    if resume:
        mend_state(storage)
    begun = holds_sweep(storage)
    if begun and not resume:
        raise MosimError(f"{storage} holds a run already; resume it with --resume, or give another folder.")
    sweep = plan.sweep
    settings = {**_TUNE_SETTINGS, "TUNE_GLOBAL_CHECKPOINT_S": str(_state_seconds(plan))}
    with ray_cluster.environment(settings), _registry(plan, storage) as registry, _interruptible():
        reporter, scheduler = Reporter(queue, registry), make_scheduler(plan)
        callbacks = [reporter, ReportLogger(), StateKeeper(storage, _state_seconds(plan))]
        if begun and isinstance(scheduler, EqualHalving | EqualMedian):
            callbacks.append(Recollection(scheduler, storage))
        analysis = tune.run(
            trainable or _trainable(plan, dataset, registry, device),
            name=TUNE_FOLDER,
            storage_path=storage,
            # Of several metrics the searcher alone knows.
            metric=sweep.metric[0] if len(sweep.metric) == 1 else None,
            mode=sweep.modes[0] if len(sweep.metric) == 1 else None,
            config=(config := trial_config(plan)),
            num_samples=1 if config else sweep.draw_count,
            search_alg=make_searcher(plan),
            scheduler=scheduler,
            resources_per_trial={"cpu": sweep.resources.cpu, "gpu": sweep.resources.gpu},
            time_budget_s=None if sweep.budget.minutes is None else 60 * sweep.budget.minutes,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=checkpoints_kept(sweep)),
            callbacks=callbacks,
            max_failures=RESTARTS,
            raise_on_failed_trial=False,
            reuse_actors=True,
            resume="AUTO+ERRORED" if begun else None,
            trial_dirname_creator=lambda trial: trial_folder(trial.trial_id),
            verbose=0,
        )
    return [result_of(trial, trial.trial_id in reporter.running) for trial in analysis.trials]


def holds_sweep(storage: str) -> bool:
    """Whether a sweep was begun there."""
    return any(name.startswith("experiment_state") for name in Folder.at(f"{storage}/{TUNE_FOLDER}").names())


def _trainable(plan: SimulatorPlan | PolicyPlan, dataset: str | None, registry: Any, device: str) -> Callable[..., Any]:
    if isinstance(plan, PolicyPlan):
        return tune.with_parameters(train_policy_trial, plan=plan, device=device)
    if dataset is None:
        raise ValueError("a sweep of simulators needs a dataset")
    # Loaded where the trials are, and referred to: every node has one copy, whose arrays its trials share.
    data = {"reference": _load.remote(dataset)}
    return tune.with_parameters(train_simulator_trial, plan=plan, data=data, registry=registry, device=device)


@ray.remote(num_cpus=0)
def _load(location: str) -> TrainingData:
    return TrainingData.load(Dataset.open(location))


def _require_room(plan: SweepPlan) -> None:
    """Refuses at once what would wait for ever. A cluster that grows counts as large as it may become."""
    largest = state.get_max_resources_from_cluster_config() or {}  # There is no public way to ask.
    wanted = plan.sweep.resources
    for name, amount in (("CPU", wanted.cpu), ("GPU", wanted.gpu)):
        there = max(ray.cluster_resources().get(name, 0.0), largest.get(name, 0.0))
        if amount > there:
            raise MosimError(
                f"{plan.file}: resources.{name.lower()} of a trial is {amount:g}, but the cluster has {there:g}."
            )


def _state_seconds(plan: SweepPlan) -> float:
    """How often Tune writes down its state: what came since is what a kill -9 of this process costs."""
    return max(1.0, plan.trial_count / _TRIALS_WRITTEN_A_SECOND)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Has Ctrl-C mean after the block what it did before; Tune goes on to take the first for its own."""
    if threading.current_thread() is not threading.main_thread():  # Where there are no handlers to change.
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _registry(plan: SweepPlan, storage: str) -> Iterator[Any]:
    """The actor that shares predictors, where trials may."""
    if isinstance(plan, PolicyPlan) or isinstance(plan.sweep.scheduler, Pbt) or not plan.sweep.share_predictors:
        yield None
        return
    remote: Any = ray.remote(Registry)
    actor = remote.options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote(f"{storage}/{PREDICTORS_FOLDER}")
    try:
        yield actor
    finally:
        ray.kill(actor)


@contextlib.contextmanager
def _queue() -> Iterator[Queue]:
    # Begun anew, without the events in it, where its node goes; `SweepWatcher.settle` makes up for those.
    queue = Queue(actor_options={"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1})
    try:
        yield queue
    finally:
        queue.shutdown(force=True)
