"""Jobs side by side, each in a Ray actor with a core of its own; one that fails does not stop the others."""

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from mosim.errors import DivergenceError, MosimError
from mosim.studies.jobs import Job, News
from mosim.systems import Frozen

_POLL_SECONDS = 0.5


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

    def told(self, job: Job, news: News) -> None:
        """A job has said how far it is."""
        ...

    def ended(self, job: Job, failure: Failure | None) -> None:
        """A job is done; `failure` says why where it has no result."""
        ...


class _Worker:
    """A process that does one job after another, and tells how far it is meanwhile."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._job = ""
        self._news: list[News] = []

    def run(self, job: Job) -> Failure | None:
        self._job, self._news = job.name, []
        try:
            job.run(self._device, self._news.append)
        except DivergenceError as error:
            return Failure(kind="diverged", reason=str(error))
        except MosimError as error:
            return Failure(kind="refused", reason=str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".strip()
            return Failure(kind="crashed", reason=reason, trace=traceback.format_exc())
        return None

    def news(self, job: str, since: int) -> list[News]:
        """What has been said of a job after the first `since` times."""
        return self._news[since:] if job == self._job else []


class _Hand:
    """The driver's end of a worker, with the job that it does."""

    job: Job

    def __init__(self, hire: Callable[[], Any]) -> None:
        self._hire = hire
        self._actor = hire()

    def take(self, job: Job) -> None:
        """Begins a job."""
        self.job = job
        self.done = self._actor.run.remote(job)
        self._heard = 0
        self._asked = self._actor.news.remote(job.name, 0)

    def listen(self) -> list[News]:
        """What the job has said since the last time; waits only where the job is done."""
        if not self.finished() and not ray.wait([self._asked], timeout=0)[0]:
            return []
        news = self._hear()
        if self.finished():
            news += self._hear()  # What was asked before the end may lack the last words.
        return news

    def _hear(self) -> list[News]:
        try:
            news = ray.get(self._asked)
        except RayError:
            return []  # The job's own end tells of it.
        self._heard += len(news)
        self._asked = self._actor.news.remote(self.job.name, self._heard)
        return news

    def finished(self) -> bool:
        """Whether `outcome` would not wait."""
        return bool(ray.wait([self.done], timeout=0)[0])

    def outcome(self) -> Failure | None:
        """How the job ended; a process that died is replaced for the next."""
        try:
            return ray.get(self.done)
        except RayTaskError as error:
            return Failure(kind="crashed", reason=f"{type(error.cause).__name__}: {error.cause}", trace=str(error))
        except RayError as error:
            self.stop()
            self._actor = self._hire()
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return Failure(kind="died", reason=f"its process died; --resume goes on with it. {' '.join(lines[:3])}")

    def stop(self) -> None:
        """Ends the process."""
        ray.kill(self._actor)


def run_jobs(jobs: Sequence[Job], workers: int, device: str, watcher: Watcher) -> dict[str, Failure]:
    """Does every job, `workers` at a time, in their order; Ray must have been started.

    Args:
      jobs: those to do.
      workers: processes, of one CPU each and, on CUDA, of an equal share of the GPUs.
      device: a torch device.
      watcher: is told of everything.

    Returns:
      The failures, by the job's name.

    Raises:
      MosimError: the device is CUDA and Ray has no GPU.
    """
    waiting, failures = deque(jobs), {}
    hire = _hiring(max(min(workers, len(jobs)), 1), device)
    idle: list[_Hand] = []
    busy: list[_Hand] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                busy.append(idle.pop() if idle else _Hand(hire))
                busy[-1].take(waiting.popleft())
                watcher.started(busy[-1].job)
            ray.wait([hand.done for hand in busy], timeout=_POLL_SECONDS)
            for hand in list(busy):
                done = hand.finished()
                for news in hand.listen():
                    watcher.told(hand.job, news)
                if not done:
                    continue
                failure = hand.outcome()
                if failure:
                    failures[hand.job.name] = failure
                watcher.ended(hand.job, failure)
                busy.remove(hand)
                idle.append(hand)
        return failures
    finally:
        for hand in (*busy, *idle):
            hand.stop()


def _hiring(workers: int, device: str) -> Callable[[], Any]:
    options: dict[str, Any] = {"num_cpus": 1, "max_concurrency": 2}  # One thread works, one answers.
    if device.startswith("cuda"):
        gpus = ray.cluster_resources().get("GPU", 0.0)
        if not gpus:
            raise MosimError(f"--device {device}: Ray has no GPU to give; use --device cpu.")
        # Ray shows a process only the GPU that is meant for it, so that is its first.
        options["num_gpus"], device = min(1.0, int(1000 * gpus / workers) / 1000), "cuda"
    remote: Any = ray.remote(_Worker)
    return lambda: remote.options(**options).remote(device)
