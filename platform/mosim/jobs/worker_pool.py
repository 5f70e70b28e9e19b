"""A pool of Ray actors that work at the same time, on one machine or on a cluster, and may be lost meanwhile."""

import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from mosim.core.console import plain, warn
from mosim.core.errors import MosimError

LOSSES_PER_WORKER = 3
"""Workers that may be lost, for each of a pool, before it is taken for more than bad luck."""

_CHECK_SECONDS = 5.0
"""Between two checks whether busy workers answer."""

_MISSED_CHECKS = 4
"""Without an answer, after which a worker counts as lost. Ray takes a minute for a host that is cut off."""

_PATIENCE_SECONDS = 60.0
"""Without any worker that has a CPU, before the user is warned."""

Work = TypeVar("Work")


@dataclass(frozen=True)
class Outcome(Generic[Work]):
    """What became of work that a worker was given.

    Attributes:
      work: as it was assigned.
      result: what the worker's method returned; None where it raised or the worker was lost.
      error: what the method raised: an error of mosim's, or Ray's about any other.
      lost: why the worker was lost, in one line; empty where it was not. The work may have been done in part.
    """

    work: Work
    result: Any = None
    error: Exception | None = None
    lost: str = ""


@dataclass
class _Assignment(Generic[Work]):
    """Work, who does it, the last ping, and the checks in a row that found it without an answer."""

    actor: Any
    work: Work
    ping: ray.ObjectRef | None = None
    missed: int = 0


class WorkerPool(Generic[Work]):
    """Actors of one class, each with one piece of work at a time.

    Only a worker that runs is given work. One that is lost, by its own death or its host's, or that stops answering, is
    replaced, but neither its work nor anybody else waits for the replacement, for which there may be no CPU: the work's
    outcome says that it was lost, and any idle worker can be given it. A worker is idle until it is given work.

    Used as a context, it ends all workers at the end.
    """

    def __init__(
        self, size: int, actor_class: type, arguments: tuple[Any, ...], max_losses: int | None = None, **options: Any
    ) -> None:
        """Starts the workers; Ray must have been started.

        Args:
          size: workers, 1 or more. Ray runs as many at once as it has CPUs for.
          actor_class: has a method `ready`, which returns when the worker can be given work, and `ping`, which returns
            at once. Neither takes anything.
          arguments: of its constructor.
          max_losses: workers that may be lost, 0 or more; `LOSSES_PER_WORKER` for each by default.
          options: of Ray's for an actor, such as `num_cpus`.
        """
        self._max_losses = LOSSES_PER_WORKER * size if max_losses is None else max_losses
        remote: Any = ray.remote  # Its overloads do not know of options by name.
        self._remote = remote(max_concurrency=2, **options)(actor_class)  # One thread works, one answers.
        self._arguments = arguments
        self._starting: dict[ray.ObjectRef, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[ray.ObjectRef, _Assignment[Work]] = {}
        self._losses = 0
        self._last_check = self._last_running = time.monotonic()
        self._warned = False
        for _ in range(size):
            self._start()

    def __enter__(self) -> "WorkerPool[Work]":
        return self

    def __exit__(self, *error: object) -> None:
        for actor in (*self._starting.values(), *self._idle, *(each.actor for each in self._busy.values())):
            ray.kill(actor)

    @property
    def idle(self) -> int:
        """Workers that run and have no work."""
        return len(self._idle)

    def assign(self, work: Work, method: str) -> Any:
        """Has an idle worker's method called with the work, and returns the actor.

        Raises:
          IndexError: no worker is idle.
        """
        actor = self._idle.pop()
        self._busy[getattr(actor, method).remote(work)] = _Assignment(actor, work)
        return actor

    def wait(self, timeout: float = _CHECK_SECONDS) -> Outcome[Work] | None:
        """Waits for the next outcome; None where a worker has become idle without one, or some seconds are over.

        Args:
          timeout: seconds, 0 or more, of which it waits a few at most.

        Raises:
          MosimError: too many workers were lost, or a worker's `ready` raised it.
        """
        self._check()
        silent = [reference for reference, each in self._busy.items() if each.missed >= _MISSED_CHECKS]
        if silent:
            return self._lose(silent[0], "it stopped responding.")
        done, _ = ray.wait([*self._starting, *self._busy], timeout=min(timeout, _CHECK_SECONDS))
        if not done:
            return None
        if done[0] in self._starting:
            self._take_in(done[0])
            return None
        return self._conclude(done[0])

    def _start(self) -> None:
        actor = self._remote.remote(*self._arguments)
        self._starting[actor.ready.remote()] = actor

    def _take_in(self, ready: ray.ObjectRef) -> None:
        actor = self._starting.pop(ready)
        try:
            ray.get(ready)
        except RayTaskError as error:
            ray.kill(actor)
            raise _own(error) from None
        except RayError as error:
            self._replace(actor, _one_line(error))
        else:
            self._idle.append(actor)

    def _conclude(self, reference: ray.ObjectRef) -> Outcome[Work]:
        work = self._busy[reference].work
        try:
            outcome = Outcome(work, result=ray.get(reference))
        except RayTaskError as error:
            outcome = Outcome(work, error=_own(error))
        except RayError as error:
            return self._lose(reference, _one_line(error))
        self._idle.append(self._busy.pop(reference).actor)
        return outcome

    def _lose(self, reference: ray.ObjectRef, reason: str) -> Outcome[Work]:
        lost = self._busy.pop(reference)
        self._replace(lost.actor, reason)
        return Outcome(lost.work, lost=reason)

    def _replace(self, actor: Any, reason: str) -> None:
        ray.kill(actor)  # It may live on where it cannot be reached, and would keep its CPU.
        self._losses += 1
        if self._losses > self._max_losses:
            raise MosimError(
                f"{self._losses} workers were lost, the last one with: {reason} If memory is short, use fewer "
                "workers. Finished work is kept."
            )
        self._start()

    def _check(self) -> None:
        """Asks busy workers, now and then, whether they are there, and warns where none has had a CPU for long."""
        now = time.monotonic()
        if now - self._last_check < _CHECK_SECONDS:
            return
        self._last_check = now
        for each in self._busy.values():
            # Checks are counted, not seconds: a driver that slept for a while has not heard of anybody meanwhile.
            if each.ping is not None and not ray.wait([each.ping], timeout=0)[0]:
                each.missed += 1
            else:
                each.missed = 0
                each.ping = each.actor.ping.remote()
        if self._idle or self._busy:
            self._last_running = now
        elif not self._warned and now - self._last_running >= _PATIENCE_SECONDS:
            self._warned = True
            warn("no CPU of the Ray cluster is free for a worker yet; the work waits for one.")


def _own(error: RayTaskError) -> Exception:
    return error.cause if isinstance(error.cause, MosimError) else error


def _one_line(error: RayError) -> str:
    lines = [line.strip() for line in plain(str(error)).splitlines() if line.strip()]
    return " ".join(lines[:3])
