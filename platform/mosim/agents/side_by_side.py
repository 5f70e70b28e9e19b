"""Trainings side by side, each in a Ray actor with a core of its own."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from pydantic import SerializeAsAny
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from mosim.agents.progress import PolicyProgress, PolicyResult
from mosim.agents.recipe import PolicyRecipe
from mosim.agents.training import check_training, train_policy
from mosim.core.errors import MosimError
from mosim.core.frozen import Frozen

RESTARTS = 3
"""How often a training whose process dies is taken up again from its last checkpoint."""

_POLL_SECONDS = 0.5

_PATIENCE_SECONDS = 5.0
"""How long an actor may take to tell how far it is, before it is left to its work."""


class PolicyJob(Frozen):
    """What `train_policy` takes."""

    recipe: SerializeAsAny[PolicyRecipe]
    task_name: str
    dynamics_source: str
    out: Path
    resume: bool = False
    data: str | None = None
    device: str = "cpu"
    until: int | None = None
    after: Path | None = None

    def check(self) -> None:
        """Checks all that the training would refuse, before anything is started or written.

        Raises:
          MosimError: as `train_policy`.
        """
        check_training(
            self.recipe,
            self.task_name,
            self.dynamics_source,
            self.out,
            resume=self.resume,
            data=self.data,
            until=self.until,
            after=self.after,
        )

    @property
    def steps(self) -> int:
        """Control steps at which it ends."""
        return self.until or self.recipe.control_steps

    @property
    def processes(self) -> int:
        """Of the training, which each hold a CPU."""
        return self.recipe.processes


class _Trainer:
    """A training in a process of its own, which tells how far it is while it runs."""

    def __init__(self, job: PolicyJob, gpus: float) -> None:
        self._job, self._gpus = job, gpus
        self._progress: PolicyProgress | None = None

    def run(self) -> PolicyResult:
        job = self._job
        # A process that Ray has started anew finds what the one before it has written.
        resume = job.resume or bool(ray.get_runtime_context().was_current_actor_reconstructed)
        try:
            return train_policy(
                job.recipe,
                job.task_name,
                job.dynamics_source,
                job.out,
                on_progress=self._tell,
                resume=resume,
                data=job.data,
                device=job.device,
                gpus_per_runner=self._gpus,
                until=job.until,
                after=job.after,
            )
        except MosimError as error:
            # As the plain kind, since not every exception of ours can be rebuilt from its message in another process.
            raise MosimError(str(error)) from None

    def progress(self) -> PolicyProgress | None:
        return self._progress

    def _tell(self, progress: PolicyProgress) -> None:
        self._progress = progress


class PolicyTrainer:
    """A training in a Ray actor that holds one CPU; Ray must have been started.

    Attributes:
      job: as given.
      actor: Ray's handle of it.
    """

    def __init__(self, job: PolicyJob, gpus: float = 1.0) -> None:
        """Starts it.

        Args:
          job: what to train.
          gpus: of GPUs, what the training and its env runners share evenly, where the job wants one.
        """
        share = gpus / job.processes if job.device != "cpu" else 0.0
        # The actor has a working directory of its own.
        job = job.model_copy(update={"out": job.out.resolve(), "after": job.after and job.after.resolve()})
        self.job = job
        remote: Any = ray.remote(_Trainer)
        self.actor = remote.options(
            num_cpus=1,
            num_gpus=share,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
            max_concurrency=2,  # One thread trains, one answers.
        ).remote(job, share)
        self._result = self.actor.run.remote()

    def progress(self) -> PolicyProgress | None:
        """How far it is; None before the first update, and while its process is being started again."""
        try:
            return ray.get(self.actor.progress.remote(), timeout=_PATIENCE_SECONDS)
        except (RayActorError, GetTimeoutError):
            return None

    def finished(self) -> bool:
        """Whether `result` would not wait."""
        return bool(ray.wait([self._result], timeout=0)[0])

    def result(self) -> PolicyResult:
        """Waits for the end.

        Raises:
          MosimError: what `train_policy` raises, or its process died too often.
        """
        try:
            return ray.get(self._result)
        except RayTaskError as error:
            if isinstance(error.cause, MosimError):
                raise error.cause from None
            raise
        except RayActorError as error:
            raise MosimError(
                f"the training in {self.job.out} failed {RESTARTS + 1} times; fix the cause, then resume it: "
                f"{' '.join(str(error).split())}"
            ) from None

    def stop(self) -> None:
        """Ends it, finished or not; what its last checkpoint holds is kept."""
        ray.kill(self.actor)


def train_side_by_side(
    jobs: Mapping[str, PolicyJob], on_progress: Callable[[str, PolicyProgress], None] | None = None
) -> dict[str, PolicyResult]:
    """Runs several trainings at once, as many as Ray has CPUs for, and the others after them; all share one GPU.

    Args:
      jobs: by a name each.
      on_progress: told of every change, with the job's name.

    Raises:
      MosimError: one of them failed; the others are stopped.
    """
    trainers = {name: PolicyTrainer(job, gpus=1.0 / len(jobs)) for name, job in jobs.items()}
    told: dict[str, PolicyProgress | None] = dict.fromkeys(jobs)
    results: dict[str, PolicyResult] = {}
    try:
        while trainers:
            # One that failed raises here rather than after the others are through.
            done = {name: trainer.result() for name, trainer in trainers.items() if trainer.finished()}
            _tell(trainers, told, on_progress)
            for name in done:
                trainers.pop(name).stop()  # Its CPU is for those that wait for one.
            results |= done
            if trainers:
                time.sleep(_POLL_SECONDS)
        return {name: results[name] for name in jobs}
    finally:
        for trainer in trainers.values():
            trainer.stop()


def _tell(
    trainers: Mapping[str, PolicyTrainer],
    told: dict[str, PolicyProgress | None],
    on_progress: Callable[[str, PolicyProgress], None] | None,
) -> None:
    for name, trainer in trainers.items():
        progress = trainer.progress()
        if on_progress and progress is not None and progress != told[name]:
            told[name] = progress
            on_progress(name, progress)
