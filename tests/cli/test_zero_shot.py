"""`mosim zero-shot` in a simulator that diverges, from states of the data."""

import re
from pathlib import Path

import mlflow
import pytest
import torch

from mosim.agents import DivergenceCounts, ReturnRow, read_divergences
from mosim.agents.progress import progress_of
from mosim.data import Dataset, collect
from mosim.experiments.pipeline.policies import _metrics, _status
from mosim.training import Recipe, Trainer, TrainingData
from mosim_process import Ended, run_mosim

QUICK = [
    "--control-steps", "1500", "--eval-interval", "600", "--eval-episodes", "2", "--num-envs", "4",
    "--rollout-fragment-length", "16", "--minibatch-size", "32", "--num-epochs", "1", "--hidden", "8", "--no-video",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has hopper's data in data/hopper-stand, and in sim a simulator that was hardly trained on them."""
    folder = tmp_path_factory.mktemp("zero-shot")
    collect("hopper-stand", folder / "data" / "hopper-stand", episodes=4, steps=200, workers=1)
    network = {"width": 16, "depth": 1}
    stages = [{"name": "a", "learns": ["predictor"], "steps": 5, "batch_size": 32}]
    recipe = Recipe.model_validate({"model": {"inertia": network, "bias": network}, "stages": stages})
    data = TrainingData.load(Dataset.open(folder / "data" / "hopper-stand"))
    Trainer(system="hopper-stand", recipe=recipe, data=data, out=folder / "sim").run(lambda report: None)
    return folder


def zero_shot(folder: Path, *arguments: str) -> Ended:
    return run_mosim("zero-shot", "sim", "--task", "hopper-stand", *arguments, cwd=folder)


@pytest.mark.slow
def test_divergences_are_told_and_tracked(folder: Path) -> None:
    result = zero_shot(folder, "--out", "out", "--start", "mixed", "--max-episode-steps", "25", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    said = " ".join(result.stdout.split())
    assert "warning: zero-shot: the simulator's prediction diverged in a training episode" in said
    counts = read_divergences(folder / "out")
    assert f"zero-shot: {counts}; see out/divergences.csv" in said
    assert re.search(r"\d+ divergences in \d+ episodes, by the dimension that diverged first: qpos/\w+ \(\d+\)", said)
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert run.data.metrics["divergences"] == counts.total
    most = next(iter(counts.first_in))
    assert run.data.metrics[f"diverged_first/{most}"] == counts.first_in[most]
    assert len(client.get_metric_history(run.info.run_id, "divergences")) > 3
    assert {"divergences.csv", "divergences.json"} <= {each.path for each in client.list_artifacts(run.info.run_id)}
    assert (run.data.params["start"], run.data.params["max_episode_steps"]) == ("mixed", "25")


def test_data_that_are_not_there_or_do_not_fit_are_told_before_anything_starts(folder: Path) -> None:
    (folder / "data" / "hopper-stand").rename(folder / "elsewhere")
    try:
        result = zero_shot(folder, "--out", "none", "--start", "data", *QUICK)
        assert result.returncode == 2
        assert "was trained, is in none of" in result.stderr
    finally:
        (folder / "elsewhere").rename(folder / "data" / "hopper-stand")
    collect("pendulum-swingup", folder / "pendulum", episodes=1, steps=5, workers=1)
    result = zero_shot(folder, "--out", "none", "--start", "data", "--data", "pendulum", *QUICK)
    assert result.returncode == 2
    assert "does not fit task hopper-stand" in result.stderr
    assert not (folder / "none").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_anything_starts(folder: Path) -> None:
    result = zero_shot(folder, "--out", "none", "--device", "cuda", *QUICK)
    assert result.returncode == 2
    assert "--device cuda: torch sees no CUDA device here; use --device cpu." in " ".join(result.stderr.split())
    assert not (folder / "none").exists()


def test_the_progress_line_marks_where_simulated_and_true_return_part() -> None:
    progress = progress_of(1000, 2000, 1.0, ReturnRow(1000, 1.0, 812.0, 240.0, 10.0, episodes=10))
    assert _status(progress) == "return 812 simulated ≠ 240 true"
    counts = DivergenceCounts(episodes=3400, first_in={"qvel/rfoot": 1200, "qpos/root[2]": 3})
    progress = progress.model_copy(update={"parted": False, "divergences": counts})
    assert _status(progress) == "return 812 simulated, 240 true, 1,203 divergences, most in qvel/rfoot"
    assert str(counts) == (
        "1,203 divergences in 3,400 episodes, by the dimension that diverged first: "
        "qvel/rfoot (1,200), qpos/root[2] (3)"
    )
    assert _metrics(progress)["diverged_first/qpos/root[2]"] == 3
