"""Experiments as mosim logs them, written into real MLflow stores."""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Kept for CI to show."""

HORIZONS = (1, 3, 16, 100)

DIMENSIONS = ("qpos shoulder", "qpos wrist", "qvel shoulder", "qvel wrist")

_BEGAN = 1_760_000_000_000


@dataclass
class Logged:
    """A run as MLflow is to hold it; metrics are lists of steps and values."""

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    status: str = "FINISHED"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def simulator(name: str, variant: str, seed: int, level: float, *, task: str = "reacher-easy", **more: Any) -> Logged:
    """A run of a study whose horizon error is `level` at one step and grows by the square root of steps."""
    draw = np.random.default_rng(seed)
    scale = level * draw.uniform(0.9, 1.1)
    steps = np.arange(1, 101)
    reports = np.arange(100, 1100, 100)
    loss = scale * 1e3 * np.exp(-reports / 400)
    stage = (reports > 500).astype(float)
    ends = reports[[4, 9]]
    metrics = {
        "horizon_mse/mosim": (steps, scale * np.sqrt(steps)),
        "train/loss": (reports, loss),
        "train/stage": (reports, stage),
        "train/samples": (reports, reports * 512.0),
        "train/seconds": (reports, reports / 50),
        "validation/horizon_mse_16": (ends, scale * np.array([9.0, 4.0])),
        "rollout_steps_per_second": ([0], [2e4 / (1 + 10 * level)]),
        **{
            f"state_mse_{horizon}/{place:02d} {dimension}": ([horizon], [scale * (place + 1) * horizon**0.5])
            for place, dimension in enumerate(DIMENSIONS)
            for horizon in HORIZONS
        },
    }
    parameters = {
        "seed": seed,
        "model.predictor": "rigid_body",
        "model.constraints": "None" if "no" in variant.split() else "12",
        "stages.0.name": "predictor",
        "stages.1.name": "corrector",
        "stages.0.learning_rate": 0.005,
        "system": task,
    }
    tags = {"phase": "study run", "task": task, "variant": variant, "model.structure": "rigid_body + corrector"}
    return Logged(name, parameters, metrics, tags, **more)


def study(seeds: int = 3, task: str = "reacher-easy") -> list[Logged]:
    """A study of four variants, one run of which failed, with its baselines and the run that holds them."""
    parent = Logged("study four", tags={"phase": "study", "task": "four"})
    steps = np.arange(1, 101)
    baselines = Logged(
        f"{task} baselines",
        metrics={
            "horizon_mse/persistence": (steps, 0.3 * np.sqrt(steps)),
            "horizon_mse/chaos-floor": (steps, np.full(100, 1e-12)),
        },
        tags={"phase": "study run", "task": task, "variant": "baselines"},
        parent=parent.id,
    )
    levels = {"as shipped": 1e-6, "no constraints": 3e-5, "narrow": 1.02e-6, "wide": 4e-6}
    runs = [
        simulator(f"{task} {variant} seed-{seed}", variant, seed + 10 * place, level, task=task, parent=parent.id)
        for place, (variant, level) in enumerate(levels.items())
        for seed in range(seeds)
    ]
    failed = runs[-1]
    failed.status, failed.metrics = "FAILED", {"train/loss": failed.metrics["train/loss"]}
    failed.tags = {**failed.tags, "failure": "diverged: the loss is not <finite>"}
    return [parent, baselines, *runs]


def sweep(trials: int = 12, name: str = "search") -> list[Logged]:
    """A sweep whose error depends on the learning rate alone; a third of its trials have no width."""
    parent = Logged(f"sweep {name}", {"sweep.task": "reacher-easy"}, tags={"phase": "sweep", "task": name})
    draw = np.random.default_rng(0)
    runs = []
    for number in range(trials):
        rate, width = float(10 ** draw.uniform(-4, -2)), int(draw.choice([32, 64, 128]))
        depth = int(draw.choice([1, 2]))
        error = 1e-3 * np.exp(abs(np.log(rate / 1e-3)))
        steps, reports = np.arange(1, 101), np.arange(100, 600, 100)
        metrics = {
            "horizon_mse/validation": (steps, error * steps / 100),
            "train/loss": (reports, 10 * error * np.exp(-reports / 300)),
            "train/stage": (reports, np.zeros(5)),
            "train/seconds": (reports, reports / 50),
            "train/samples": (reports, reports * 512.0),
            "validation/horizon_mse_16": (reports, error * np.exp(-reports / 200)),
            "rollout_steps_per_second": ([0], [2e6 / width]),
        }
        parameters: dict[str, object] = {"stages.0.learning_rate": rate, "model.bias.depth": depth}
        if number % 3:
            parameters["model.bias.width"] = width
        tags = {"phase": "trial", "task": "reacher-easy", "variant": name, "status": "finished"}
        runs.append(Logged(f"trial {number:05d}", parameters, metrics, tags, parent.id))
    return [parent, *runs]


def whole_run(seed: int) -> list[Logged]:
    """`mosim run` with its phases."""
    root = Logged(
        "run reacher-easy",
        {"task": "reacher-easy", "seed": seed, "episodes": 300},
        {"return_true.random": ([0], [52.0])},
        {"phase": "run", "task": "reacher-easy"},
    )
    trained = simulator("train", "", seed, 1e-6)
    train = Logged(
        "train",
        trained.parameters,
        {name: values for name, values in trained.metrics.items() if name.startswith(("train/", "validation/"))},
        {
            "phase": "train",
            "task": "reacher-easy",
            "model.structure": "rigid_body + corrector",
            "dataset.id": f"d{seed}",
        },
        root.id,
    )
    evaluate = Logged(
        "evaluate",
        {"seed": seed, "checkpoint": f"runs/{seed}/step-1"},
        {name: values for name, values in trained.metrics.items() if name.startswith(("horizon_mse/", "state_mse"))},
        {"phase": "evaluate", "task": "reacher-easy"},
        root.id,
    )
    policies = Logged("policies", tags={"phase": "policies", "task": "reacher-easy"}, parent=root.id)
    steps = np.arange(1, 11) * 100_000
    # A training says its last evaluation again with every report.
    told, true = np.repeat(steps, 2) + np.tile([0, 10_000], 10), np.repeat(np.linspace(100, 900 + seed, 10), 2)
    returns = [
        Logged(
            policy,
            {"algorithm": "PPO", "seed": seed, "learning_rate": 0.0005},
            {
                "return/true_mean": (told, true),
                "return/simulated": (told, true + gap),
                "wall_seconds": (told, told / 1e4),
            },
            {"phase": policy, "task": "reacher-easy"},
            policies.id,
        )
        for policy, gap in (("zero-shot", 40.0), ("true-trained", 0.0))
    ]
    return [root, train, evaluate, policies, *returns]


def write_experiment(database: Path, runs: Sequence[Logged], experiment: str = "mosim") -> str:
    """Has MLflow make a store, and writes runs into its tables, which takes a hundredth of what its client takes."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{database}"
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    experiment_id = (
        client.create_experiment(experiment, (database.parent / "artifacts").as_uri())
        if found is None
        else found.experiment_id
    )
    with sqlite3.connect(database) as connection:
        for number, run in enumerate(runs):
            _write_run(connection, int(experiment_id), _BEGAN + 1000 * number, run)
    connection.close()
    return uri


def _write_run(connection: sqlite3.Connection, experiment: int, began: int, run: Logged) -> None:
    ended = None if run.status == "RUNNING" else began + 500
    connection.execute(
        "INSERT INTO runs (run_uuid, name, user_id, source_type, status, start_time, end_time, lifecycle_stage, "
        "artifact_uri, experiment_id) VALUES (?, ?, '', 'LOCAL', ?, ?, ?, 'active', '', ?)",
        (run.id, run.name, run.status, began, ended, experiment),
    )
    tags = {**run.tags, "mlflow.runName": run.name} | ({"mlflow.parentRunId": run.parent} if run.parent else {})
    for table, values in (("tags", tags), ("params", run.parameters)):
        rows = [(name, str(value), run.id) for name, value in values.items()]
        connection.executemany(f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)", rows)  # noqa: S608
    points, latest = [], []
    for name, (steps, values) in run.metrics.items():
        kept = [1.7976931348623157e308 if np.isinf(value) else float(value) for value in values]
        rows = [
            (name, value, began + 10 * place, int(step), run.id, 0)
            for place, (step, value) in enumerate(zip(steps, kept, strict=True))
        ]
        points += rows
        latest.append(rows[-1])
    columns = "(key, value, timestamp, step, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
    connection.executemany(f"INSERT INTO metrics {columns}", points)
    connection.executemany(f"INSERT INTO latest_metrics {columns}", latest)
