"""`mosim run` in small: all phases on real components, killed and resumed."""

import json
import random
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import mosim
from mosim.agents import read_returns
from mosim_process import run_mosim, started_mosim

QUICK = [
    "--episodes", "10", "--heldout-episodes", "5", "--steps", "200", "--horizons", "1", "16", "100",
    *(flag for stage in range(1) for flag in (f"--simulator.stages.{stage}.steps", "120")),
    "--policy.control-steps", "6000", "--policy.eval-interval", "3000", "--policy.eval-episodes", "2",
    "--policy.checkpoint-interval", "1500", "--policy.num-envs", "8", "--policy.rollout-fragment-length", "32",
    "--policy.minibatch-size", "64",
]  # fmt: skip


COMMAND = ["run", "reacher-easy", "--out", "run", *QUICK]


def run(folder: Path, *more: str) -> str:
    result = run_mosim(*COMMAND, *more, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def kill_after(folder: Path, seconds: float) -> bool:
    """Runs the command with --resume and kills it and its children; returns whether it was still alive."""
    with started_mosim(*COMMAND, "--resume", cwd=folder) as process:
        try:
            process.wait(seconds)
        except TimeoutError:
            return True
    return False


def outcome(folder: Path) -> dict[str, object]:
    """All that a run comes to, but its wall times."""
    summary = pd.read_csv(folder / "run" / "summary.csv").set_index("measure")["value"].dropna()
    simulator = mosim.load(folder / "run").state_dict()
    returns = {
        name: [row._replace(wall_seconds=0.0) for row in read_returns(folder / "run" / name / "returns.csv")]
        for name in ("zero-shot", "true-trained")
    }
    policy = mosim.load_policy(folder / "run" / "zero-shot" / "policy").state_dict()
    return {
        "summary": {name: value for name, value in summary.items() if not str(name).startswith("seconds.")},
        "dataset": json.loads((folder / "run" / "data" / "train" / "metadata.json").read_text())["shards"],
        "simulator": {name: tensor.tolist() for name, tensor in simulator.items()},
        "returns": returns,
        "policy": {name: tensor.tolist() for name, tensor in policy.items()},
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, run(folder)


def test_it_ends_with_a_table_and_says_where_everything_is(unbroken: tuple[Path, str]) -> None:
    folder, said = unbroken
    for words in (
        "reacher (tree), which mosim ships",
        "horizon error: ",
        "mosim (tree)",
        "chaos-floor",
        "zero-shot",
        "true-trained",
        "random",
        "wall time",
        "true steps ",
        "mosim ui",
    ):
        assert words in said
    for file in ("evaluation/horizon.csv", "evaluation/horizon.png", "returns.png", "summary.csv", "mosim.log"):
        assert (folder / "run" / file).stat().st_size > 0
    assert "Traceback" not in said
    assert len(said.splitlines()) < 60, "quiet by default"


def test_mlflow_holds_one_parent_and_a_run_for_each_phase(unbroken: tuple[Path, str]) -> None:
    folder, _ = unbroken
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mosim")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"run reacher-easy", "collect", "train", "evaluate", "policies", "zero-shot", "true-trained"}
    assert all(run.info.status == "FINISHED" for run in runs.values())
    parent = runs["run reacher-easy"].info.run_id
    for name in ("collect", "train", "evaluate", "policies"):
        assert runs[name].data.tags["mlflow.parentRunId"] == parent
    curve = client.get_metric_history(runs["evaluate"].info.run_id, "horizon_mse/mosim")
    assert [point.step for point in curve] == list(range(1, 101))
    assert client.get_metric_history(runs["zero-shot"].info.run_id, "return/true_mean")
    assert runs["zero-shot"].data.tags["phase"] == "zero-shot"
    assert runs["evaluate"].data.tags["simulator"] == runs["train"].data.tags["simulator"]
    assert runs["evaluate"].data.params["model.predictor"] == "articulated"
    assert {runs[name].data.tags["model.knowledge"] for name in ("train", "evaluate")} == {"tree"}
    artifacts = {item.path for item in client.list_artifacts(runs["evaluate"].info.run_id, "evaluation")}
    assert "evaluation/horizon.png" in artifacts


def test_mlflow_says_of_each_run_what_it_came_to(unbroken: tuple[Path, str]) -> None:
    folder, _ = unbroken
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mosim")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    table = pd.read_csv(folder / "run" / "evaluation" / "horizon.csv").query("model == 'mosim'").set_index("horizon")
    errors = runs["evaluate"].data.metrics
    for horizon in (1, 16, 100):
        assert errors[f"heldout/horizon_mse_{horizon}"] == table["mse"][horizon]
    assert f"| 16 | 400 | {table['mse'][16]:.3g} |" in runs["evaluate"].data.tags["mlflow.note.content"]
    assert "A simulator of reacher from 10 episodes" in runs["train"].data.tags["mlflow.note.content"]
    whole = runs["run reacher-easy"]
    assert f"| 16 | 400 | {table['mse'][16]:.3g} |" in whole.data.tags["mlflow.note.content"]
    assert "| zero-shot |" in whole.data.tags["mlflow.note.content"]
    pictures = {item.path for item in client.list_artifacts(whole.info.run_id)}
    assert {"returns.png", "horizon.png", "summary.csv"} <= pictures


def test_a_finished_run_is_not_run_again(unbroken: tuple[Path, str]) -> None:
    folder, _ = unbroken
    before = outcome(folder)
    assert run(folder, "--resume").count("already finished") == 4
    assert outcome(folder) == before


def test_another_run_does_not_overwrite_it(unbroken: tuple[Path, str]) -> None:
    folder, _ = unbroken
    result = run_mosim(*COMMAND, cwd=folder)
    assert result.returncode == 2
    assert "holds a run already" in result.stderr
    result = run_mosim(*COMMAND, "--resume", "--seed", "5", cwd=folder)
    assert result.returncode == 2
    assert "seed was 0 and is 5" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_three_random_moments_and_resumed_it_comes_to_the_same(
    tmp_path: Path, unbroken: tuple[Path, str]
) -> None:
    phases = json.loads((unbroken[0] / "run" / "phases.json").read_text()).values()
    whole = sum(phase["seconds"] for phase in phases)
    moments = random.Random(time.time_ns())
    kills = 0
    while kills < 3 and kill_after(tmp_path, moments.uniform(0.2, 0.9) * whole):
        kills += 1
    run(tmp_path, "--resume")
    expected, found = outcome(unbroken[0]), outcome(tmp_path)
    assert found == expected
