"""`mosim zero-shot` killed in the middle and resumed: the same curve, and no second run in MLflow."""

import time
from pathlib import Path

import mlflow
import pytest

import mosim
from mosim.agents import ReturnRow, read_returns
from mosim.data import Dataset, collect
from mosim.training import Recipe, Trainer, TrainingData
from mosim_process import run_mosim, started_mosim

STEPS = 6000

QUICK = [
    "--control-steps", str(STEPS), "--eval-interval", "1000", "--eval-episodes", "2", "--checkpoint-interval", "500",
    "--num-envs", "4", "--rollout-fragment-length", "16", "--minibatch-size", "32", "--num-epochs", "1",
    "--hidden", "8", "--no-video",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has in sim a simulator that was hardly trained."""
    folder = tmp_path_factory.mktemp("resumed")
    dataset = collect("reacher-easy", folder / "data", episodes=4, steps=200, workers=1)
    network = {"width": 16, "depth": 1}
    stages = [{"name": "a", "learns": ["predictor"], "steps": 20, "batch_size": 32}]
    recipe = Recipe.model_validate({"model": {"inertia": network, "bias": network}, "stages": stages})
    data = TrainingData.load(Dataset.open(dataset.uri))
    Trainer(system="reacher-easy", recipe=recipe, data=data, out=folder / "sim").run(lambda report: None)
    return folder


def command(out: str) -> list[str]:
    store = f"sqlite:///{out}.db"
    return ["zero-shot", "sim", "--task", "reacher-easy", "--out", out, "--tracking-uri", store, *QUICK]


def evaluated(folder: Path) -> list[ReturnRow]:
    return [row._replace(wall_seconds=0.0) for row in read_returns(folder / "returns.csv")]


@pytest.mark.slow
def test_killed_and_resumed_the_curve_goes_on_in_the_same_mlflow_run(folder: Path) -> None:
    assert run_mosim(*command("unbroken"), cwd=folder).returncode == 0
    with started_mosim(*command("killed"), cwd=folder) as process:
        while not evaluated(folder / "killed") and process.poll() is None:
            time.sleep(0.05)
    assert 0 < evaluated(folder / "killed")[-1].steps < STEPS
    assert run_mosim(*command("killed"), "--resume", cwd=folder).returncode == 0

    rows = evaluated(folder / "killed")
    assert rows == evaluated(folder / "unbroken")
    policies = [mosim.load_policy(folder / out / "policy").state_dict() for out in ("killed", "unbroken")]
    assert all(tensor.equal(policies[1][name]) for name, tensor in policies[0].items())
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'killed.db'}")
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert run.info.status == "FINISHED"
    curve = client.get_metric_history(run.info.run_id, "return/true_mean")
    assert sorted((point.step, point.value) for point in curve) == [(row.steps, row.return_true_mean) for row in rows]
