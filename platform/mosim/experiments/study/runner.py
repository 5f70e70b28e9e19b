"""Jobs side by side, each in a Ray actor with a core of its own; one that fails does not stop the others."""

import traceback
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from mosim.core.errors import DivergenceError, MosimError
from mosim.core.frozen import Frozen
from mosim.experiments.study.jobs import Job, JobEvent
from mosim.jobs.worker_pool import LOSSES_PER_WORKER, Outcome, WorkerPool

_POLL_SECONDS = 0.5

_LAST_REPORTS_SECONDS = 10.0
"""That a worker whose job is done has for its last reports. Its host may be lost by then."""


class Failure(Frozen):
    """Why a job has no result.

    Attributes:
      kind: `diverged`: a loss stopped being finite; `refused`: a mistake that the user can mend; `crashed`: a fault of
        mosim's; `died`: its process ended, for want of memory perhaps.
      reason: a sentence.
      trace: of a crash.
    """

    kind: Literal["diverged", "refused", "crashed", "died"]
    reason: str
    trace: str = ""


class Watcher(Protocol):
    """Is told what becomes of the jobs; called from `run_jobs`' own thread."""

    def started(self, job: Job) -> None:
        """A job has been given to a process."""
        ...

    def reported(self, job: Job, event: JobEvent) -> None:
        """A job has said how far it is."""
        ...

    def ended(self, job: Job, failure: Failure | None) -> None:
        """A job is done; `failure` says why where it has no result."""
        ...


class _Worker:
    """A process that does one job after another, and answers meanwhile how far it is."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._job = ""
        self._reports: list[JobEvent] = []

    def ready(self) -> None:
        """Nothing is left to prepare."""

    def ping(self) -> None:
        """Shows that the worker is there."""

    def run(self, job: Job) -> Failure | None:
        self._job, self._reports = job.name, []
        try:
            job.run(self._device, self._reports.append)
        except DivergenceError as error:
            return Failure(kind="diverged", reason=str(error))
        except MosimError as error:
            return Failure(kind="refused", reason=str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".strip()
            return Failure(kind="crashed", reason=reason, trace=traceback.format_exc())
        return None

    def reports(self, job: str, since: int) -> list[JobEvent]:
        """What a job has reported after its first `since` reports."""
        return self._reports[since:] if job == self._job else []


class _RunningJob:
    """A job that a worker does, and what the driver has heard of it."""

    def __init__(self, job: Job, actor: Any) -> None:
        self.job = job
        self._actor = actor
        self._heard = 0
        self._asked = self._ask()

    def new_reports(self) -> list[JobEvent]:
        """What has been reported since the last call, as far as it has arrived."""
        if not ray.wait([self._asked], timeout=0)[0]:
            return []
        return self._take()

    def last_reports(self) -> list[JobEvent]:
        """The reports that are left of a job that is done."""
        return [*self._take(), *self._take()]  # What was asked before the end may lack the last ones.

    def _ask(self) -> ray.ObjectRef:
        return self._actor.reports.remote(self.job.name, self._heard)

    def _take(self) -> list[JobEvent]:
        try:
            reports = ray.get(self._asked, timeout=_LAST_REPORTS_SECONDS)
        except RayError:
            return []  # The job's own outcome tells of it.
        self._heard += len(reports)
        self._asked = self._ask()
        return reports


def run_jobs(jobs: Sequence[Job], workers: int, device: str, watcher: Watcher) -> dict[str, Failure]:
    """Does every job, `workers` at a time, in their order; Ray must have been started.

    Args:
      jobs: those to do.
      workers: processes, of one CPU each and, on CUDA, of an equal share of the GPUs; Ray runs as many at once as it
        has room for.
      device: a torch device.
      watcher: is told of everything.

    Returns:
      The failures, by the job's name.

    Raises:
      MosimError: the device is CUDA and Ray has no GPU, or workers are lost again and again before they have a job.
    """
    waiting, failures = deque(jobs), {}
    if not waiting:
        return failures
    running: dict[str, _RunningJob] = {}
    with _worker_pool(min(workers, len(jobs)), device, len(jobs)) as pool:
        while waiting or running:
            while waiting and pool.idle:
                job = waiting.popleft()
                running[job.name] = _RunningJob(job, pool.assign(job, "run"))
                watcher.started(job)
            outcome = pool.wait(_POLL_SECONDS)
            for each in running.values():
                for report in each.new_reports():
                    watcher.reported(each.job, report)
            if outcome is None:
                continue
            job = outcome.work
            for report in running.pop(job.name).last_reports():
                watcher.reported(job, report)
            failure = _failure(outcome)
            if failure:
                failures[job.name] = failure
            watcher.ended(job, failure)
    return failures


def _worker_pool(workers: int, device: str, jobs: int) -> WorkerPool[Job]:
    options: dict[str, Any] = {"num_cpus": 1}
    if device.startswith("cuda"):
        gpus = ray.cluster_resources().get("GPU", 0.0)
        if not gpus:
            raise MosimError(f"--device {device}: Ray has no GPU; use --device cpu.")
        # Ray shows a process only the GPU that is meant for it, so that is its first.
        options["num_gpus"], device = min(1.0, int(1000 * gpus / workers) / 1000), "cuda"
    # A job that ends its process has failed, so each may do so once.
    return WorkerPool(workers, _Worker, (device,), max_losses=jobs + LOSSES_PER_WORKER * workers, **options)


def _failure(outcome: Outcome[Job]) -> Failure | None:
    """Why a job has no result; None where it has."""
    if outcome.lost:
        return Failure(kind="died", reason=f"its process died; --resume continues it. {outcome.lost}")
    if outcome.error:
        cause = outcome.error.cause if isinstance(outcome.error, RayTaskError) else outcome.error
        return Failure(kind="crashed", reason=f"{type(cause).__name__}: {cause}", trace=str(outcome.error))
    return outcome.result
