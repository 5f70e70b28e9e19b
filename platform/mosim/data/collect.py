"""Collection of trajectories by Ray actors."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from mosim.core.console import warn
from mosim.core.errors import MosimError
from mosim.core.locks import locked
from mosim.core.storage import Folder
from mosim.data.behaviours import (
    Behaviour,
    Doubt,
    PoissonBehaviour,
    Policy,
    PolicyBehaviour,
    action_repeat_of,
    resolve_policy,
)
from mosim.data.dataset import Dataset
from mosim.data.episodes import collect_episode, policy_needs_task
from mosim.data.metadata import Metadata, Shard, begin, describe, write_metadata
from mosim.data.storage import checksum, encode_shard
from mosim.robots import System
from mosim.tasks import Task, load_system

EPISODES_PER_SHARD = 5
"""Of a collection; the same for any number of workers, since it decides what the files hold."""

_JOB_SECONDS = 0.2
"""An actor begins no further shard of a job after this: long beside the milliseconds between two jobs."""

LoadPolicy = Callable[[str], Policy]

LoadDoubt = Callable[[str, int], Doubt]
"""Loads the simulator that a `PolicyBehaviour` refers to, for actions that are held for so many physics steps."""


def collect(
    source: str,
    out: str | Path,
    episodes: int,
    steps: int,
    behaviour: Behaviour | None = None,
    workers: int | None = None,
    seed: int = 0,
    load_policy: LoadPolicy = resolve_policy,
    load_doubt: LoadDoubt | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Collects a dataset, or what is missing of it. Each episode depends on the seed and its own index alone.

    Args:
      source: a task as `domain-task`, or the path of an MJCF file.
      out: the dataset's folder, a local path or a URI that every node of the cluster reaches.
      episodes: how many, 1 or more.
      steps: physics steps an episode, 1 or more.
      behaviour: how actions are chosen; `PoissonBehaviour()` by default.
      workers: Ray actors; as many as the machine has cores by default. Those that Ray has no CPU for yet wait.
      seed: 0 to 2**32 - 1.
      load_policy: turns the reference of a `PolicyBehaviour` into a policy; called in every actor.
      load_doubt: likewise of its simulator, where it has one.
      on_progress: called with the episodes that are there and the episodes that there will be.

    Raises:
      MosimError: an argument is out of range, another process works in the folder, the policy does not load, or
        workers are lost again and again.
      MismatchError: another dataset lies in the folder.
      DivergenceError: MuJoCo cannot go on from a state.
    """
    behaviour = behaviour or PoissonBehaviour()
    workers = (os.cpu_count() or 1) if workers is None else workers
    for name, value in (("episodes", episodes), ("steps", steps), ("workers", workers)):
        _require(value >= 1, f"{name} is {value}; it must be 1 or more.")
    _require(0 <= seed < 2**32, f"seed is {seed}; it must be from 0 to {2**32 - 1}.")
    system = load_system(source, allow_imports=True)
    _loaded(behaviour, system, load_policy, load_doubt)
    folder = Folder.at(out)
    with locked(out):
        metadata = begin(folder, describe(system, behaviour, seed, episodes, steps))
        metadata = _without_damage(folder, metadata)
        if not metadata.complete:
            metadata = _collect_missing(folder, metadata, workers, (load_policy, load_doubt), on_progress or _ignore)
    return Dataset(folder, metadata)


class Collector:
    """A Ray actor that collects whole shards and writes them itself."""

    def __init__(
        self, out: str, metadata: Metadata, load_policy: LoadPolicy, load_doubt: LoadDoubt | None = None
    ) -> None:
        self._folder = Folder.at(out)
        self._metadata = metadata
        self._loaders = load_policy, load_doubt

    def ready(self) -> None:
        """Loads the system; not done by the constructor, since Ray takes what fails there for a death."""
        self._system = load_system(self._metadata.source, allow_imports=True)
        self._policy, self._doubt = _loaded(self._metadata.behaviour, self._system, *self._loaders)

    def ping(self) -> None:
        """Shows that the worker is there."""

    def collect_shards(self, firsts: Sequence[int]) -> list[Shard]:
        """Collects shards that start with these episodes, in order: one or more, until it has taken long enough."""
        began, shards = time.monotonic(), []
        for first in firsts:
            shards.append(self._collect_shard(first))
            if time.monotonic() - began > _JOB_SECONDS:
                break
        return shards

    def _collect_shard(self, first: int) -> Shard:
        wanted = self._metadata
        if wanted.seed is None or wanted.steps is None:
            raise MosimError("imported trajectories cannot be collected again; import them from their file.")
        stop = min(first + EPISODES_PER_SHARD, wanted.episodes)
        episodes = [
            collect_episode(self._system, wanted.behaviour, wanted.steps, wanted.seed, index, self._policy, self._doubt)
            for index in range(first, stop)
        ]
        content = encode_shard(episodes, wanted.facts)
        name = f"shards/{first // EPISODES_PER_SHARD:06d}.parquet"
        self._folder.write(name, content)
        rows = len(episodes) * (wanted.steps + 1)
        return Shard(name=name, first=first, episodes=len(episodes), rows=rows, sha256=checksum(content))


def _collect_missing(
    folder: Folder,
    metadata: Metadata,
    workers: int,
    loaders: tuple[LoadPolicy, LoadDoubt | None],
    on_progress: Callable[[int, int], None],
) -> Metadata:
    """Has workers collect the shards that are missing, and returns the metadata with all shards."""
    # What reads trajectories, such as a simulator that somebody else trained, has no need of Ray.
    from mosim.jobs import ray_cluster
    from mosim.jobs.worker_pool import WorkerPool

    finished = {shard.first for shard in metadata.shards}
    firsts = deque(first for first in range(0, metadata.episodes, EPISODES_PER_SHARD) if first not in finished)
    size = min(workers, len(firsts))
    on_progress(metadata.finished_episodes, metadata.episodes)
    arguments = (folder.uri, metadata, *loaders)
    with (
        ray_cluster.started(num_cpus=workers),
        WorkerPool[list[int]](size, Collector, arguments, num_cpus=1, scheduling_strategy="SPREAD") as pool,
    ):
        while not metadata.complete:
            while firsts and pool.idle:
                # No more than half of a worker's part of what is left: none has much to do when the others are done.
                job = [firsts.popleft() for _ in range(max(1, len(firsts) // (2 * size)))]
                pool.assign(job, "collect_shards")
            outcome = pool.wait()
            if outcome is None:
                continue
            if outcome.error:
                raise outcome.error
            shards = outcome.result or []
            firsts.extendleft(reversed(outcome.work[len(shards) :]))
            if shards:
                metadata = metadata.with_shards(shards)
                write_metadata(folder, metadata)
                on_progress(metadata.finished_episodes, metadata.episodes)
    return metadata


def _loaded(
    behaviour: Behaviour, system: System, load_policy: LoadPolicy, load_doubt: LoadDoubt | None
) -> tuple[Policy | None, Doubt | None]:
    if not isinstance(behaviour, PolicyBehaviour):
        return None, None
    if not isinstance(system, Task):
        raise MosimError(policy_needs_task(system.source))
    policy = load_policy(behaviour.policy)
    if behaviour.simulator is None:
        return policy, None
    if load_doubt is None:
        raise MosimError("a behaviour with a simulator needs load_doubt, which loads it.")
    return policy, load_doubt(behaviour.simulator, system.n_substeps * action_repeat_of(policy))


def _without_damage(folder: Folder, metadata: Metadata) -> Metadata:
    damaged = Dataset(folder, metadata).damaged_shards()
    for shard in damaged:
        warn(f"{folder.where(shard.name)} is missing or damaged; its episodes are collected again.")
    return metadata.model_copy(update={"shards": tuple(s for s in metadata.shards if s not in damaged)})


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise MosimError(sentence)


def _ignore(done: int, total: int) -> None:
    del done, total
