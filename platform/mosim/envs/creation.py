"""Environments by the names of their task and checkpoint: what Gymnasium's registry calls."""

from pathlib import Path
from typing import Unpack

from mosim.core.arguments import Count, Device, Location, checked
from mosim.core.errors import MosimError
from mosim.envs.single_env import MoSimEnv
from mosim.envs.starts import StartKind, make_starts, start_states
from mosim.envs.vector_env import EnvOptions, MoSimVectorEnv
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.registration import environment_id
from mosim.robots import require_fit
from mosim.tasks import Task, load_task

TRUE_DYNAMICS = "true"
"""Stands for MuJoCo itself where a simulator's checkpoint is expected."""


def load_dynamics(source: str | Path | None, task: Task, device: str = "cpu") -> DynamicsModel:
    """The dynamics that `source` names for a task: a simulator's checkpoint, or `"true"` for MuJoCo itself.

    Raises:
      MosimError: no source is given.
      MismatchError: the checkpoint does not fit the task.
    """
    if source is None:
        raise MosimError(
            f"an environment of {task.name} needs a simulator: give checkpoint=PATH, or make "
            f"{environment_id(task.source, true=True)} for the true task."
        )
    if str(source) == TRUE_DYNAMICS:
        return MujocoDynamics(task)
    # Which brings Ray, and a policy that is loaded has no need of it.
    from mosim.training import load_simulator

    dynamics = load_simulator(source, device)
    require_fit(dynamics.facts, task.facts, f"the simulator in {source}", task.name)
    return dynamics.eval().requires_grad_(False)


@checked
def make_vector_env(
    num_envs: Count,
    task: str,
    checkpoint: Location | None = None,
    device: Device = "cpu",
    *,
    start: StartKind = "initial",
    data: Location | None = None,
    **options: Unpack[EnvOptions],
) -> MoSimVectorEnv:
    """Makes a batch of envs.

    Args:
      num_envs: size of the batch, at least 1.
      task: a task's name, or `module:Class`, see `mosim.tasks.load_task`.
      checkpoint: the simulator, see `load_dynamics`.
      device: where the simulator runs.
      start: where episodes start.
      data: what they start from unless `start` is initial, see `start_states`; None for the data that the simulator was
        trained on.
      options: of `MoSimVectorEnv`.

    Raises:
      MosimError: an argument is unknown or not allowed, or contradicts another; or see `load_dynamics` and
        `start_states`.
    """
    loaded, dynamics = _loaded(task, checkpoint, device)
    return MoSimVectorEnv(loaded, dynamics, num_envs, **_with_starts(loaded, checkpoint, start, data, options))


@checked
def make_env(
    task: str,
    checkpoint: Location | None = None,
    device: Device = "cpu",
    *,
    start: StartKind = "initial",
    data: Location | None = None,
    **options: Unpack[EnvOptions],
) -> MoSimEnv:
    """Makes one env; takes and raises what `make_vector_env` does, but for `num_envs`."""
    loaded, dynamics = _loaded(task, checkpoint, device)
    return MoSimEnv(loaded, dynamics, **_with_starts(loaded, checkpoint, start, data, options))


def _loaded(task: str, checkpoint: str | Path | None, device: str) -> tuple[Task, DynamicsModel]:
    loaded = load_task(task, allow_imports=True)
    return loaded, load_dynamics(checkpoint, loaded, device)


def _with_starts(
    task: Task, checkpoint: str | Path | None, start: StartKind, data: str | Path | None, options: EnvOptions
) -> EnvOptions:
    if start == "initial":
        if data is not None:
            raise MosimError(f"data={str(data)!r} needs start='data' or 'mixed'; start='initial' uses no data.")
        return options
    if options.get("starts") is not None:
        raise MosimError(f"start={start!r} and starts both set where episodes start; give one of them.")
    simulator = None if str(checkpoint) == TRUE_DYNAMICS else checkpoint
    return {**options, "starts": make_starts(start, task, start_states(task, data, simulator))}
