"""The pairs that speed.py measures, one function each; a row tells what was measured and how."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from collection import compare_collection
from common import Comparison, compare, prepare, rate_of, replay, standard_episodes, windows

from mosim.data import Trajectories, collect
from mosim.envs import MoSimVectorEnv
from mosim.models import ConstraintsConfig, IntegratorConfig, ModelConfig, NeuralSimulatorConfig
from mosim.tasks import load_task
from mosim.training import Recipe, Report, StageConfig, Trainer, TrainingData, load_recipe
from mosim.training.checkpoint import save_checkpoint

_LEVEL = "geometry"
"""Of knowledge, of the recipes that are measured: their networks can be given other integrators and widths."""

_SEED = 0
_WORKERS = 2
_ROLLOUT_STEPS = 4
"""Model steps of a rollout from states of the data, so that the states do not leave them."""

_ARTICULATED = NeuralSimulatorConfig(predictor="articulated", correctors=(), constraints=ConstraintsConfig())

_ENVS_OF_MAKE_VEC = 128

_GRADIENT_STEPS = 200
"""Of a measurement of one-step training: two reports, the rate of the second, since SOAP's first steps take longer."""

_GRADIENT_STEPS_ADAPTIVE = 3
"""The same, of the integrator that takes dozens of times as long."""


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
      rounds: measurements of each of a pair.
      seconds: about how long one takes, where it can be said.
      episodes, steps: standard episodes that states and statistics are taken from, and their physics steps.
      batch: of rollouts and of training.
      envs: in a vector env.
      training_episodes: of the run whose memory is measured.
    """

    rounds: int
    seconds: float
    episodes: int
    steps: int
    batch: int
    envs: int
    training_episodes: int


def training_row(name: str, scale: Scale, constrained: bool) -> dict[str, Any]:
    """One-step training of a recipe's last one-step stage, beside the same widths with `dopri5` and the adjoint.

    The adaptive integrator is spared the constraints, whose jumps it would search for in steps by the thousand.
    `constrained` is whether ours keeps them, as shipped, or is the very same network.
    """
    task = load_task(name)
    recipe = load_recipe(task.facts.name, _LEVEL)
    smooth = recipe.model.model_copy(update={"constraints": None})
    adaptive = smooth.model_copy(update={"integrator": IntegratorConfig(method="dopri5", adjoint=True)})
    ours = recipe.model if constrained else smooth
    trajectories = standard_episodes(task, scale.episodes, scale.steps, _SEED)
    batch, steps = _batch_and_steps(recipe, scale)
    few = min(scale.rounds, _GRADIENT_STEPS_ADAPTIVE)
    found = compare(
        lambda: _training_rate(name, trajectories, _shortened(recipe, ours, batch, steps)),
        lambda: _training_rate(name, trajectories, _shortened(recipe, adaptive, batch, few, optimizer="adam")),
        scale.rounds,
    )
    row = _row(name, found, "samples/s", scale, batch=batch, against="dopri5 and adjoint, Adam")
    return row | {"note": "recipe as shipped" if constrained else "no constraints on either side"}


def articulated_training_row(name: str, scale: Scale) -> dict[str, Any]:
    """One-step training of an articulated predictor, beside that of a recipe's; both with constraints."""
    task = load_task(name)
    recipe = load_recipe(task.facts.name, _LEVEL)
    trajectories = standard_episodes(task, scale.episodes, scale.steps, _SEED)
    batch, steps = _batch_and_steps(recipe, scale)
    found = compare(
        lambda: _training_rate(name, trajectories, _shortened(recipe, _ARTICULATED, batch, steps)),
        lambda: _training_rate(name, trajectories, _shortened(recipe, recipe.model, batch, steps)),
        scale.rounds,
    )
    row = _row(name, found, "samples/s", scale, batch=batch, against="the recipe's predictor")
    return row | {"note": "articulated"}


def _one_step(recipe: Recipe) -> StageConfig:
    return [stage for stage in recipe.stages if stage.horizon == 1][-1]


def _batch_and_steps(recipe: Recipe, scale: Scale) -> tuple[int, int]:
    batch = min(_one_step(recipe).batch_size, scale.batch)
    return batch, min(batch, _GRADIENT_STEPS)


def _shortened(recipe: Recipe, model: ModelConfig, batch: int, steps: int, **changes: Any) -> Recipe:
    """The recipe's last one-step stage alone, for another model."""
    short = {"steps": steps, "minutes": None, "batch_size": batch, **changes}
    return recipe.model_copy(update={"model": model, "stages": (_one_step(recipe).model_copy(update=short),)})


class _Unvalidated(Trainer):
    """Leaves out the rollout at a stage's end, which would take the adaptive integrator longer than its training."""

    def horizon_errors(self, horizons: Sequence[int]) -> dict[int, float]:
        return dict.fromkeys(horizons, float("nan"))


def _training_rate(name: str, trajectories: Trajectories, recipe: Recipe) -> float:
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = _Unvalidated(
            system=name,
            recipe=recipe,
            data=TrainingData.of(trajectories, "benchmark"),
            out=Path(folder),
        )
        trainer.run(reports.append)
    return reports[-1].samples_per_second


def rollout_row(name: str, scale: Scale, articulated: bool = False) -> dict[str, Any]:
    """Rollouts of a recipe's model, or of an articulated one, beside `mj_step` through the same episodes."""
    task = load_task(name)
    model = _ARTICULATED if articulated else load_recipe(task.facts.name, _LEVEL).model
    subject = prepare(name, model, scale.episodes, scale.steps, _SEED)
    state, actions = windows(subject.held_out, scale.batch, _ROLLOUT_STEPS, _SEED)
    mujoco_steps = replay(subject, min(100, scale.steps))

    @torch.inference_mode()
    def model_steps() -> int:
        subject.model.rollout(state, actions)
        return scale.batch * _ROLLOUT_STEPS

    found = compare(
        lambda: rate_of(model_steps, scale.seconds), lambda: rate_of(mujoco_steps, scale.seconds), scale.rounds
    )
    row = _row(name, found, "physics steps/s", scale, batch=scale.batch, against="mj_step, one core")
    return row | {"note": "articulated" if articulated else ""}


def environment_row(name: str, scale: Scale) -> dict[str, Any]:
    """The vector env over a recipe's model, beside that model's rollout under the same actions, in physics steps."""
    subject = prepare(name, load_recipe(load_task(name).facts.name, _LEVEL).model, scale.episodes, scale.steps, _SEED)
    task, model = subject.task, subject.model
    envs = MoSimVectorEnv(task, model, scale.envs, seed=_SEED)
    envs.reset()
    start = {"state": envs.state}
    envs.action_space.seed(_SEED)
    control_steps = max(1, 4 // task.n_substeps)
    controls = [envs.action_space.sample() for _ in range(control_steps)]
    held = torch.from_numpy(np.repeat(np.stack(controls, axis=1), task.n_substeps, axis=1))
    physics_steps = scale.envs * control_steps * task.n_substeps

    def env_steps() -> int:
        for control in controls:
            envs.step(control)
        return physics_steps

    @torch.inference_mode()
    def model_steps() -> int:
        model.rollout(start["state"], held)
        return physics_steps

    def env_rate() -> float:
        envs.reset()  # Not timed: an env is reset once in an episode of a thousand steps.
        start["state"] = envs.state
        return rate_of(env_steps, scale.seconds)

    found = compare(env_rate, lambda: rate_of(model_steps, scale.seconds), scale.rounds)
    return _row(name, found, "physics steps/s", scale, batch=scale.envs, against="the model's rollout")


def threads_row(name: str, scale: Scale) -> dict[str, Any]:
    """`make_vec` under torch's default number of threads beside a process that has set it to one; one core is busy."""
    subject = prepare(name, load_recipe(load_task(name).facts.name, _LEVEL).model, scale.episodes, scale.steps, _SEED)
    default, count = torch.get_num_threads(), min(_ENVS_OF_MAKE_VEC, scale.envs)
    with tempfile.TemporaryDirectory() as folder, _busy_core():
        origin: dict[str, Any] = {"system": name, "recipe": {}, "dataset_id": "none", "cursor": {"finished": True}}
        checkpoint = save_checkpoint(Path(folder), "step-0", subject.model, {}, **origin)
        envs = gymnasium.make_vec(f"MoSim/{name}-v0", num_envs=count, checkpoint=checkpoint)
        envs.action_space.seed(_SEED)
        control = envs.action_space.sample()

        def step() -> int:
            envs.step(control)
            return count

        def rate(threads: int) -> float:
            torch.set_num_threads(threads)
            envs.reset(seed=_SEED)
            return rate_of(step, scale.seconds)

        try:
            found = compare(lambda: rate(default), lambda: rate(1), scale.rounds)
        finally:
            torch.set_num_threads(default)
    against = "one thread set by the process"
    row = _row(name, found, "control steps/s", scale, batch=count, against=against, threads=default)
    return row | {"note": "torch's default threads, one core busy"}


@contextmanager
def _busy_core() -> Iterator[None]:
    """Keeps one core busy with something else."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def collection_row(name: str, scale: Scale) -> dict[str, Any]:
    """`collect` beside bare loops; Ray must have been started."""
    found, _ = compare_collection(name, 2 * scale.seconds, scale.steps, _WORKERS, scale.rounds, _SEED)
    return _row(name, found, "physics steps/s", scale, batch=1, against="mj_step, two cores", threads=_WORKERS)


def memory_row(name: str, scale: Scale) -> dict[str, Any]:
    """Peak memory of training on standard data, in MB, beside its arrays; Ray must have been started.

    Measured by a fresh process a round, from a dataset on disk; what the process has before it loads the data is taken
    off.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        collect(name, data, scale.training_episodes, scale.steps, workers=_WORKERS, seed=_SEED)
        told = [_memory_of_training(data, Path(folder) / str(number)) for number in range(min(3, scale.rounds))]
        on_disk = sum(file.stat().st_size for file in data.rglob("*") if file.is_file()) / 1e6
    grown, total, arrays = np.median([[part["grown"], part["total"], part["arrays"]] for part in told], axis=0)
    row = _row(
        name, Comparison(float(grown), float(arrays), float(grown / arrays)), "MB", scale, batch=0, against="arrays"
    )
    return row | {"rounds": len(told), "note": f"{total:.0f} MB with the imports; {on_disk:.0f} MB of files"}


def _memory_of_training(data: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).parent / "memory.py"), str(data), str(out)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _row(
    name: str, found: Comparison, unit: str, scale: Scale, *, batch: int, against: str, threads: int = 1
) -> dict[str, Any]:
    return {
        "task": name,
        "against": against,
        "ours": found.ours,
        "theirs": found.theirs,
        "unit": unit,
        "ratio": found.ratio,
        "batch": batch or "",
        "threads": threads,
        "rounds": scale.rounds,
        "note": "",
    }
