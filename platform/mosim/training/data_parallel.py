"""One simulator trained by several processes at once, on one machine or on a cluster, through Ray Train."""

import functools
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError

from mosim.core.console import warn
from mosim.core.errors import MosimError
from mosim.core.threads import torch_threads
from mosim.training.checkpoint import find_checkpoint
from mosim.training.recipe import Recipe
from mosim.training.replicas import Replicas
from mosim.training.report import Report
from mosim.training.trainer import Trainer

_FAILURES = 3
"""Times that all begin again where one has failed, by its death perhaps, before it is taken for more than bad luck."""

_POLL_SECONDS = 0.3

_STOP_SECONDS = 8.0
"""Given to Ray Train to clear up after an interruption, before it is ended where it stands."""

_SHARED_FOLDER_SECONDS = 60.0
"""Given to a node's file system to show what another node has written."""


class _Job(NamedTuple):
    """What every worker is told.

    Attributes:
      resources: of one worker, by Ray's names.
      Others are as for `train_data_parallel`; `out` is absolute.
    """

    system: str
    recipe: Recipe
    data: ray.ObjectRef
    out: Path
    workers: int
    threads: int
    compile_steps: bool
    resources: dict[str, float]
    weights: Path | None

    @property
    def run_folder(self) -> Path:
        """Ray Train's own, for as long as it runs."""
        return self.out / ".ray_train"


class _Supervisor:
    """Runs Ray Train, and keeps what the workers say until the driver asks for it.

    It is an actor, so that the driver is free meanwhile to show how far training is, and to be interrupted.
    """

    def __init__(self) -> None:
        self._said: list[Report | str] = []
        self._stopping = False

    def train(self, job: _Job) -> None:
        """Trains to the end, from the last checkpoint again where a worker failed.

        Ray Train would begin again by itself, but it cannot tell a death, after which that helps, from a mistake of the
        user's or a divergence, after which it does not.
        """
        # Imported only here, since it takes more than a second.
        from ray.train import RunConfig, ScalingConfig, WorkerGroupError
        from ray.train.torch import TorchTrainer

        work = functools.partial(_work, job, ray.get_runtime_context().current_actor)
        for left in reversed(range(_FAILURES + 1)):
            trainer = TorchTrainer(
                work,
                scaling_config=ScalingConfig(
                    num_workers=job.workers, use_gpu="GPU" in job.resources, resources_per_worker=job.resources
                ),
                run_config=RunConfig(name=job.run_folder.name, storage_path=str(job.out)),
            )
            try:
                trainer.fit()
                return
            except WorkerGroupError as error:
                for failure in error.worker_failures.values():
                    if isinstance(failure, MosimError):
                        raise failure from None
                if not left:
                    raise
                self._said.append("a worker failed; all workers restart from the last checkpoint.")

    def tell(self, report: Report) -> bool:
        """Takes what the leader says; returns whether it should stop."""
        self._said.append(report)
        return self._stopping

    def said(self, since: int) -> list[Report | str]:
        """Reports and warnings after the first `since`."""
        return self._said[since:]

    def stop(self) -> None:
        """Has the leader stop at its next report."""
        self._stopping = True


def train_data_parallel(
    *,
    system: str,
    recipe: Recipe,
    data: ray.ObjectRef,
    out: Path,
    workers: int,
    on_report: Callable[[Report], None],
    device: str = "auto",
    threads: int = 1,
    compile_steps: bool = False,
    resume: bool = False,
    weights: Path | None = None,
) -> Path:
    """Trains a simulator in several processes, or goes on with one, and returns the path of its last checkpoint.

    The workers share a recipe's batches, so every step is the one that `Trainer` would have made in one process, up to
    float summation. Over many steps Adam keeps the weights the same to about six digits; SOAP, which makes much of
    directions that have next to no gradient, comes to other weights. Checkpoints are the same too, so a run may go on
    with another number of workers, or in one process. Ray must have been started. Where a worker dies, all begin again
    from the last checkpoint, a few times.

    Args:
      system: what `mosim.tasks.load_system` takes.
      recipe: the model and the stages.
      data: what `ray.put` gives for `TrainingData` of that system: Ray keeps one copy on each node, for all processes
        there.
      out: folder of the run, which all nodes see under this path; the leader of the workers writes its `checkpoints`.
      workers: processes, 1 or more.
      on_report: is told how training goes, in the caller's thread.
      device: `cpu`; `cuda`, with a GPU for each worker; or `auto`: `cuda` where Ray has a GPU.
      threads: torch's threads in each worker, and the CPUs that are reserved for it.
      compile_steps: as for `Trainer`.
      resume: whether to go on with a run that `out` holds.
      weights: as for `Trainer`; a path that all nodes see.

    Raises:
      MosimError: Ray has no room for so many workers, or a node does not see `out`, or workers failed too often; or as
        `Trainer`.
      MismatchError: as `Trainer`.
      DivergenceError: as `Trainer.run`.
    """
    resources = _resources(workers, device, threads)
    job = _Job(system, recipe, data, out.absolute(), workers, threads, compile_steps, resources, weights)
    if not _prepare(job, resume):
        _oversee(job, on_report)
    return find_checkpoint(out)


def _resources(workers: int, device: str, threads: int) -> dict[str, float]:
    """What a worker takes of Ray.

    Raises:
      MosimError: there is not as much for all of them.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise MosimError(
            f"--device {device}: with several workers it must be auto, cpu or cuda; on cuda, each worker has its own "
            "GPU."
        )
    resources = {"CPU": float(threads)}
    if device == "cuda" or (device == "auto" and "GPU" in ray.cluster_resources()):
        resources["GPU"] = 1.0
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(int(node.get(kind, 0.0) // amount) for kind, amount in resources.items()) for node in nodes)
    if room < workers:
        needs = " and ".join(f"{amount:g} {kind}" for kind, amount in resources.items())
        raise MosimError(
            f"there is no room for --workers {workers}: each needs {needs}, and Ray's {len(nodes)} node(s) have room "
            f"for {room}."
        )
    return resources


def _prepare(job: _Job, resume: bool) -> bool:
    """Sees to it that there is a checkpoint to go on from, and tells whether nothing is left to train.

    What is wrong with the arguments shows here, before any process is started.
    """
    trainer = Trainer(
        system=job.system,
        recipe=job.recipe,
        data=ray.get(job.data),
        out=job.out,
        resume=resume,
        weights=job.weights,
        replicas=Replicas(0, job.workers),
    )
    if not _checkpoints(job.out):
        trainer.save()
    return trainer.finished


def _oversee(job: _Job, on_report: Callable[[Report], None]) -> None:
    """Has a supervisor do the job, and passes on what is said meanwhile."""
    remote: Any = ray.remote(_Supervisor)
    supervisor = remote.options(num_cpus=0, max_concurrency=2).remote()  # One thread trains, one answers.
    training, heard, finished = supervisor.train.remote(job), 0, []
    try:
        while not finished:
            finished = ray.wait([training], timeout=_POLL_SECONDS)[0]
            for word in ray.get(supervisor.said.remote(heard)):
                heard += 1
                if isinstance(word, Report):
                    on_report(word)
                else:
                    warn(word)
        ray.get(training)
    except RayError as error:
        if isinstance(error, RayTaskError) and isinstance(error.cause, MosimError):
            raise error.cause from None
        raise MosimError(
            "the workers failed repeatedly, or their supervisor failed; see the log. The last checkpoint in "
            f"{job.out} is intact, and --resume continues from it."
        ) from error
    finally:
        if not finished:
            supervisor.stop.remote()
            ray.wait([training], timeout=_STOP_SECONDS)
        ray.kill(supervisor)
        shutil.rmtree(job.run_folder, ignore_errors=True)


def _work(job: _Job, supervisor: Any) -> None:
    """What each worker does: trains its replica, and says how it goes where it leads."""
    from ray.train import get_context
    from ray.train.torch import get_device

    replicas = Replicas(get_context().get_world_rank(), job.workers)
    _find_the_leader_s_checkpoint(job.out, replicas)
    with torch_threads(job.threads):
        trainer = Trainer(
            system=job.system,
            recipe=job.recipe,
            data=ray.get(job.data),
            out=job.out,
            device=str(get_device()),
            compile_steps=job.compile_steps,
            resume=True,
            weights=job.weights,
            replicas=replicas,
        )
        for report in trainer.reports():
            if replicas.leads and ray.get(supervisor.tell.remote(report)):
                raise MosimError("the training was stopped.")


def _find_the_leader_s_checkpoint(out: Path, replicas: Replicas) -> None:
    """Makes sure that all replicas go on from the same checkpoint.

    Raises:
      MosimError: the last that this node finds is not the leader's.
    """
    from ray.train.collective import broadcast_from_rank_zero

    name = broadcast_from_rank_zero(find_checkpoint(out).name if replicas.leads else None)
    since = time.monotonic()
    while _checkpoints(out)[-1:] != [name]:
        if time.monotonic() > since + _SHARED_FOLDER_SECONDS:
            raise MosimError(
                f"{out} is not shared by all nodes: on {socket.gethostname()} its checkpoints have no {name}; give an "
                "--out on a file system that all nodes share."
            )
        time.sleep(1.0)


def _checkpoints(out: Path) -> list[str]:
    """Names of the checkpoints of a run, in order."""
    return sorted(path.name for path in (out / "checkpoints").glob("step-*"))
