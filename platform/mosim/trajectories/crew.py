"""The Ray actors of a collection."""

from collections import deque
from collections.abc import Callable
from typing import Any

import ray
import ray.exceptions

from mosim.console import warn
from mosim.errors import MosimError
from mosim.storage import Folder
from mosim.trajectories.metadata import Metadata, Shard, write_metadata

_LOSSES_PER_WORKER = 3
"""Actors that may die, for each worker asked for, before it is taken for more than bad luck."""

_PATIENCE = 60.0
"""Seconds without any actor placed before the user is told."""


class Crew:
    """The actors of one collection: each has one job at a time, some shards, and one that dies is replaced."""

    def __init__(self, size: int, collector: type, arguments: tuple[Any, ...]) -> None:
        """Takes how many actors there are to be, of which class, and what they are made with."""
        self._size = size
        self._collector = collector
        self._arguments = arguments
        self._waiting: dict[ray.ObjectRef, tuple[Any, list[int]]] = {}
        self._actors: list[Any] = []
        self._losses = 0

    def work(
        self, firsts: deque[int], folder: Folder, metadata: Metadata, on_progress: Callable[[int, int], None]
    ) -> Metadata:
        """Collects the shards that start with `firsts`, and returns the metadata with all shards."""
        on_progress(metadata.finished_episodes, metadata.episodes)
        try:
            for _ in range(min(self._size, len(firsts))):
                self._hire()
            while not metadata.complete:
                actor, job, shards = self._next_report()
                firsts.extendleft(reversed(job[len(shards) :]))
                if actor is None:
                    self._hire()
                elif firsts:
                    self._assign(actor, firsts)
                if shards:
                    metadata = metadata.with_shards(shards)
                    write_metadata(folder, metadata)
                    on_progress(metadata.finished_episodes, metadata.episodes)
            return metadata
        finally:
            for actor in self._actors:
                ray.kill(actor)

    def _hire(self) -> None:
        # Placed wherever there is room: the whole cluster takes part, and what has no room waits without holding a job.
        actor = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(self._collector).remote(*self._arguments)
        self._actors.append(actor)
        self._waiting[actor.ready.remote()] = (actor, [])

    def _assign(self, actor: Any, firsts: deque[int]) -> None:
        # No more than half of an actor's part of what is left, so that none has much to do when the others are done.
        job = [firsts.popleft() for _ in range(max(1, len(firsts) // (2 * self._size)))]
        self._waiting[actor.collect_shards.remote(job)] = (actor, job)

    def _next_report(self) -> tuple[Any | None, list[int], list[Shard]]:
        """The next actor to be free, its job and the shards it made, the job's first; no actor where it died."""
        done, _ = ray.wait(list(self._waiting), timeout=_PATIENCE)
        if not done:
            if not any(job for _, job in self._waiting.values()):
                warn("no collector has a CPU yet; collection waits for the Ray cluster to have one free.")
            done, _ = ray.wait(list(self._waiting))
        actor, job = self._waiting.pop(done[0])
        try:
            return actor, job, ray.get(done[0]) or []
        except ray.exceptions.RayActorError as error:
            self._losses += 1
            if self._losses > _LOSSES_PER_WORKER * self._size:
                raise MosimError(
                    f"{self._losses} collectors died, the last with: {_first_line(error)} "
                    "Less memory a worker may help: try fewer workers. What was finished is kept."
                ) from None
            self._actors.remove(actor)
            return None, job, []
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, MosimError) else error) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
