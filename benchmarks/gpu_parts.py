"""The parts of gpu.py, each run in a process of its own: a fault on a GPU spoils whatever its process does next.

    python benchmarks/gpu_parts.py PART ROWS --device cuda

Adds a line of JSON to the file ROWS for each figure, as soon as there is one, or for each fault.
"""

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import tyro
from common import Subject, prepare, rate_of, standard_episodes, windows

from mosim.agents import RLlibRecipe, load_policy_recipe
from mosim.agents.rllib.algorithm import make_algorithm
from mosim.core.threads import torch_threads
from mosim.jobs import ray_cluster
from mosim.tasks import load_task
from mosim.training import Recipe, Report, StageConfig, Trainer, TrainingData, load_recipe
from mosim.training.checkpoint import save_checkpoint

ROOT = Path(__file__).parent.parent

SYSTEMS = ("reacher-easy", "cheetah-run", "humanoid-walk")

LEVELS: dict[str, str | None] = {"tree": None, "geometry": "geometry"}
"""Of knowledge, and what their recipes are found by."""

_CPU_BATCH = 1024
"""Of rollouts and trainings on the CPU, to compare with."""

_ROLLOUT_STEPS = 4
"""Model steps from states of the data, so that the states do not leave them."""

_POLICY_TASK = "cheetah-run"

_TINY = {"fragment": 8, "minibatch": 16, "epochs": 1}

Row = dict[str, Any]


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
      episodes, steps: standard episodes that states and statistics are taken from, and their physics steps.
      seconds: about how long one rate takes.
      batches: of rollouts on the device.
      cpu_batch: of rollouts and trainings on the CPU.
      training_batch: of trainings on the device.
      envs: of PPO.
      policy: changes of PPO's recipe.
    """

    episodes: int
    steps: int
    seconds: float
    batches: tuple[int, ...]
    cpu_batch: int
    training_batch: int
    envs: int
    policy: dict[str, Any]


FULL = Scale(10, 1000, 1.5, (256, 1024, 4096, 16384, 65536), _CPU_BATCH, 8192, 256, {})

QUICK = Scale(3, 40, 0.02, (4, 16), 4, 8, 4, _TINY)
"""To see that everything works; its figures mean nothing."""


class Setting(NamedTuple):
    """Where and how a part measures."""

    device: str
    scale: Scale
    seed: int


class Figure(NamedTuple):
    """One rate to be measured: what it is of, and how; `measure` returns units a second."""

    names: Row
    measure: Callable[[], float]


def tests(setting: Setting) -> Iterator[Figure]:
    """The tests that need CUDA; without it they are skipped, and none passes."""
    files = [str(file) for file in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in file.read_text()]

    def passed() -> float:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-m", "gpu", f"--junit-xml={report}", *files],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(" ".join(done.stdout.split())[-1000:] or done.stderr[-1000:])
            suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314
            counts = [(int(suite.get("tests", 0)), int(suite.get("skipped", 0))) for suite in suites]
        count = sum(total - skipped for total, skipped in counts)
        if setting.device == "cuda" and not count:
            raise RuntimeError("every test was skipped")
        return float(count)

    yield Figure({"what": "tests", "device": setting.device, "unit": "tests passed"}, passed)


def rollout(setting: Setting, name: str) -> Iterator[Figure]:
    """Physics steps a second that simulators of a task predict, by batch."""
    scale = setting.scale
    for level, asked in LEVELS.items():
        config = load_recipe(load_task(name).facts.name, asked).model
        subject = prepare(name, config, scale.episodes, scale.steps, setting.seed)
        places = [(setting.device, batch) for batch in scale.batches]
        places += [("cpu", scale.cpu_batch)] if ("cpu", scale.cpu_batch) not in places else []
        for device, batch in places:
            names = {"what": "rollout", "system": name, "knowledge": level, "batch": batch, "device": device}
            measure = partial(_rollout_rate, subject, device, batch, setting)
            yield Figure({**names, "unit": "physics steps/s"}, measure)


def _rollout_rate(subject: Subject, device: str, batch: int, setting: Setting) -> float:
    model = subject.model.to(device)
    state, actions = (part.to(device) for part in windows(subject.held_out, batch, _ROLLOUT_STEPS, setting.seed))

    @torch.inference_mode()
    def steps() -> int:
        if not torch.isfinite(model.rollout(state, actions)).all():  # Which waits for the GPU too.
            raise RuntimeError("the prediction is not finite")
        return batch * _ROLLOUT_STEPS

    return rate_of(steps, setting.scale.seconds)


def training(setting: Setting) -> Iterator[Figure]:
    """Samples a second of one-step training, by the first stage of each recipe."""
    scale = setting.scale
    places = dict.fromkeys([(setting.device, scale.training_batch), ("cpu", scale.cpu_batch)])
    for name in SYSTEMS:
        data = TrainingData.of(
            standard_episodes(load_task(name), scale.episodes, scale.steps, setting.seed), "benchmark"
        )
        for level, asked in LEVELS.items():
            for device, batch in places:
                names = {"what": "training", "system": name, "knowledge": level, "batch": batch, "device": device}
                recipe = load_recipe(data.facts.name, asked)
                measure = partial(_training_rate, name, data, recipe, device, batch, setting)
                yield Figure({**names, "unit": "samples/s"}, measure)


def _training_rate(name: str, data: TrainingData, recipe: Recipe, device: str, batch: int, setting: Setting) -> float:
    """Of the last report: earlier ones have the optimiser's first, slower steps in them."""
    minutes = 2 * setting.scale.seconds / 60
    stage = StageConfig(name="one step", learns=("predictor",), minutes=minutes, batch_size=batch, learning_rate=1e-4)
    changes = {"stages": (stage,), "seed": setting.seed}
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as out:
        Trainer(system=name, recipe=recipe.model_copy(update=changes), data=data, out=Path(out), device=device).run(
            reports.append
        )
    return reports[-1].samples_per_second


def policies(setting: Setting) -> Iterator[Figure]:
    """Control steps a second of PPO, sampling and learning, simulator and policy on the device."""
    scale, task = setting.scale, load_task(_POLICY_TASK)
    with tempfile.TemporaryDirectory() as folder, ray_cluster.started(num_cpus=1):
        for level, asked in LEVELS.items():
            model = prepare(
                task.name, load_recipe(task.facts.name, asked).model, scale.episodes, scale.steps, setting.seed
            ).model
            origin = {"system": task.name, "recipe": {}, "dataset_id": "none", "cursor": {"finished": True}}
            simulator = save_checkpoint(Path(folder), level, model, {}, **origin)
            names = {
                "what": "PPO",
                "system": task.name,
                "knowledge": level,
                "batch": scale.envs,
                "device": setting.device,
            }
            yield Figure({**names, "unit": "control steps/s"}, partial(_policy_rate, simulator, scale.envs, setting))


def _policy_rate(simulator: Path, envs: int, setting: Setting) -> float:
    changes = setting.scale.policy | {"num_envs": envs, "seed": setting.seed}
    recipe = cast(RLlibRecipe, load_policy_recipe(_POLICY_TASK, algorithm="PPO")).model_copy(update=changes)
    algorithm = make_algorithm(recipe, _POLICY_TASK, simulator, device=setting.device)

    def train() -> int:
        return int(algorithm.train()["env_runners"]["num_env_steps_sampled"]) * recipe.action_repeat

    try:
        return rate_of(train, 4 * setting.scale.seconds)
    finally:
        algorithm.stop()


PARTS: dict[str, Callable[[Setting], Iterator[Figure]]] = {
    "tests": tests,
    **{f"rollout {name}": partial(rollout, name=name) for name in SYSTEMS},
    "training": training,
    "PPO": policies,
}


def main(
    part: tyro.conf.Positional[str], rows: tyro.conf.Positional[Path], device: str, seed: int = 0, quick: bool = False
) -> None:
    """Measures one part.

    Args:
      part: its name.
      rows: the file that lines are added to.
      device: cuda or cpu.
      seed: of data, weights and trainings.
      quick: everything tiny.
    """
    with torch_threads(1), rows.open("a", encoding="utf-8") as file:
        for figure in PARTS[part](Setting(device, QUICK if quick else FULL, seed)):
            try:
                said = {"rate": float(f"{figure.measure():.4g}")}
            except Exception as error:  # The others go on.
                said = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
            file.write(json.dumps({**figure.names, **said}) + "\n")
            file.flush()


if __name__ == "__main__":
    tyro.cli(main)
