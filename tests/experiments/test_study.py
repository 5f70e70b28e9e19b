"""`mosim study` as a user meets it: a small one on real components, resumed, with a run that diverges."""

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mosim.cli.main import main

RECIPE = """
model:
  inertia: {width: 16, depth: 1}
  bias: {width: 16, depth: 1}
  correctors: [{network: {width: 16, depth: 1}, inputs: [limit_depth]}]
stages:
  - {name: predictor, learns: [predictor], steps: 150, batch_size: 64, warmup_steps: 10}
  - {name: corrector, learns: [corrector/0], steps: 120, batch_size: 32, horizon: 2, warmup_steps: 10}
"""

STUDY = """
name: small
systems: [pendulum-swingup]
seeds: [0, 1]
recipe: small.yaml
data: {episodes: 6, steps: 60, held_out_episodes: 3}
horizons: [1, 8, 50]
starts: 20
variants:
  - name: whole
  - name: No corrector
    set:
      model.correctors: []
      stages: [{name: predictor, learns: [predictor], steps: 200, batch_size: 64, warmup_steps: 10}]
  - name: too fast
    set: {stages.0.learning_rate: 1.0e+12, stages.0.gradient_clip: 1.0e+12, stages.0.warmup_steps: 0}
"""

RUNS = [f"pendulum-swingup/{variant}/seed-{seed}" for variant in ("whole", "no-corrector") for seed in (0, 1)]


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """A command's exit code and what it wrote."""
    code = 0
    try:
        main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capfd.readouterr()
    return code, out + err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.yaml").write_text(RECIPE)
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def studied(folder: Path, ray_of_two: None) -> Path:
    """The study's output folder after its first run, in which one variant diverged."""
    arguments = [str(folder / "study.yaml"), "--out", str(folder / "out"), "--workers", "2"]
    arguments += ["--results", str(folder / "elsewhere" / "small.csv"), "--tracking-uri", f"sqlite:///{folder}/m.db"]
    with pytest.raises(SystemExit) as end:
        importlib.import_module("mosim.cli.study_command").main(arguments)
    assert end.value.code == 1
    return folder / "out"


def test_every_run_is_trained_and_measured_on_the_same_starts(studied: Path) -> None:
    table = pd.read_csv(studied / "results.csv")
    done = table.query("model == 'mosim' and failure.isna()")
    rows = done.groupby(["system", "variant", "seed"]).size()
    assert rows.to_dict() == {
        ("pendulum-swingup", variant, seed): 3 for variant in ("whole", "No corrector") for seed in (0, 1)
    }
    errors = ["mse", "mse_at", "mse_median", "largest_start_mse", "worst_over_persistence"]
    assert np.isfinite(done[errors].to_numpy()).all()
    assert set(done["starts"]) == {20}
    assert set(done.query("variant == 'whole'")["knowledge"]) == {"geometry"}
    assert set(done.query("variant == 'No corrector'")["knowledge"]) == {"arrays"}
    assert set(done["episodes"]) == {6}
    assert not len(done.query("largest_start_mse < mse"))
    assert len(set(done["mse"])) == len(done), "seeds and variants are trainings of their own"
    assert pd.read_csv(studied.parent / "elsewhere" / "small.csv").equals(table)


def test_the_cost_of_a_run_is_told(studied: Path) -> None:
    table = pd.read_csv(studied / "results.csv")
    whole = table[table["variant"] == "whole"].iloc[0]
    assert whole["gradient_steps"] == 270
    assert whole["samples_seen"] == 150 * 64 + 120 * 32 * 2
    assert 0 < whole["train_seconds"] < 60
    smaller = table[table["variant"] == "No corrector"].iloc[0]
    assert smaller["parameters"] < whole["parameters"]
    assert whole["command"].startswith("mosim study ")


def test_baselines_stand_beside_and_bound_the_worst_start(studied: Path) -> None:
    table = pd.read_csv(studied / "results.csv")
    baselines = table.query("variant.isna()")
    assert set(baselines["model"]) == {"persistence", "chaos-floor"}
    assert len(baselines) == 2 * 3
    persistence = baselines.query("model == 'persistence'").set_index(["system", "horizon"])["mse"]
    row = table.query("model == 'mosim' and failure.isna() and horizon == 50").iloc[0]
    expected = row["largest_start_mse"] / persistence[row["system"], 50]
    assert row["worst_over_persistence"] == pytest.approx(expected, rel=1e-4)
    assert (studied / "pendulum-swingup" / "horizon.png").stat().st_size > 10_000


def test_a_run_that_diverges_is_told_and_the_others_finish(studied: Path) -> None:
    table = pd.read_csv(studied / "results.csv")
    failed = table.query("failure.notna()")
    assert set(failed["variant"]) == {"too fast"}
    assert len(failed) == 2 * 3
    assert np.isinf(failed["mse"]).all()
    assert failed["failure"].str.startswith("diverged: training of ").all()
    assert all((studied / name / "result.json").is_file() for name in RUNS)


def test_mlflow_holds_a_child_for_each_run(studied: Path, folder: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/m.db")
    experiment = client.get_experiment_by_name("mosim")
    assert experiment is not None
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    parent = runs["study small"].info.run_id
    assert len(runs) == 1 + 1 + 6
    assert all(each.data.tags["mlflow.parentRunId"] == parent for name, each in runs.items() if name != "study small")
    whole = runs["pendulum-swingup whole seed-0"]
    curve = client.get_metric_history(whole.info.run_id, "horizon_mse/mosim")
    assert [point.step for point in curve] == list(range(1, 51))
    losses = client.get_metric_history(whole.info.run_id, "train/loss")
    assert [point.step for point in losses] == [100, 150, 250, 270]
    samples = client.get_metric_history(whole.info.run_id, "train/samples")
    assert samples[-1].value == pd.read_csv(studied / "results.csv").query("variant == 'whole'")["samples_seen"].iloc[0]
    assert whole.data.metrics["state_mse_50/00 qpos hinge"] > 0
    assert whole.data.metrics["rollout_steps_per_second"] > 0
    expected = {"task": "pendulum-swingup", "variant": "whole", "stage": "corrector", "model.knowledge": "geometry"}
    assert expected.items() <= whole.data.tags.items()
    table = pd.read_csv(studied / "pendulum-swingup" / "whole" / "seed-0" / "horizon.csv").set_index("horizon")
    assert whole.data.metrics["heldout/horizon_mse_50"] == table["mse"][50]
    assert "| whole (geometry) |" in runs["study small"].data.tags["mlflow.note.content"]
    assert runs["pendulum-swingup too-fast seed-1"].info.status == "FAILED"


def test_resume_does_only_what_is_missing(
    studied: Path, folder: Path, ray_of_two: None, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["study", str(folder / "study.yaml"), "--out", str(studied), "--workers", "1", "--tracking-uri", "off"]
    code, said = run(capfd, *words)
    assert code == 2
    assert "resume it with --resume" in said
    before = {name: (studied / name / "result.json").read_text() for name in RUNS}
    lost = RUNS[0]
    (studied / lost / "result.json").unlink()
    shutil.rmtree(sorted((studied / lost / "checkpoints").iterdir())[-1])
    code, said = run(capfd, *words, "--resume", "--only", "pendulum whole")
    assert code == 0, said
    assert "runs to do: 1; 1 of 2 are already finished" in said
    assert said.count("finished pendulum") == 1
    after = {name: json.loads((studied / name / "result.json").read_text()) for name in RUNS}
    assert after[lost]["horizons"] == json.loads(before[lost])["horizons"], "goes on exactly from its checkpoint"
    assert after[lost]["gradient_steps"] == 270
    assert after[lost]["samples_seen"] == json.loads(before[lost])["samples_seen"]
    assert all((studied / name / "result.json").read_text() == before[name] for name in RUNS[1:])
    rows = pd.read_csv(studied / "results.csv").groupby("variant").size()
    assert rows.to_dict() == {"whole": 2 * 3, "No corrector": 2 * 3}, "what was not asked for is kept in the table"


def test_another_recipe_does_not_go_on_in_the_same_folder(
    studied: Path, folder: Path, ray_of_two: None, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "other.yaml").write_text(STUDY.replace("steps: 200", "steps: 300"))
    words = ["--out", str(studied), "--resume", "--tracking-uri", "off", "--only", "pendulum-swingup/no"]
    code, said = run(capfd, "study", str(folder / "other.yaml"), *words)
    assert code == 2
    assert "no-corrector/seed-0 holds another run: recipe.stages.0.steps was 200 and is 300" in said


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("model.correctors: []", "model.corrector: []", "there is no 'model.corrector'; available in 'model': "),
        ("stages.0.learning_rate", "stages.7.learning_rate", "available in 'stages': 0, 1"),
        ("stages.0.learning_rate: 1.0e+12", "stages.0.learning_rate: -1", "'stages.0.learning_rate' is -1"),
        ("stages: [{name: predictor, learns: [predictor]", "stages: [{name: a, learns: [corrector/0]", "available: pr"),
        ("recipe: small.yaml", "recipe: generic", "unknown recipe 'generic'; did you mean general or geometry?"),
        ("recipe: small.yaml", "recipe: nowhere.yaml", "nowhere.yaml cannot be read"),
        ("pendulum-swingup", "pendulum-swing", "unknown task 'pendulum-swing'; did you mean pendulum-swingup"),
        (
            "horizons: [1, 8, 50]",
            "horizons: [1, 80]",
            "horizon 80 is not between 1 and the 60 physics steps of an episode",
        ),
        ("starts: 20", "episodes: [1, 7]", "7 episodes are requested for training, but 6 are collected"),
        ("stages.0.learning_rate: 1.0e+12", "episodes: 7", "'too fast' on pendulum-swingup: 7 episodes are requested"),
        ("name: too fast", "name: WHOLE", "variants 'whole' and 'WHOLE' would have the same folder, whole"),
        ("starts: 20", "begins: 20", "study.yaml, line 8: unknown key 'begins'; allowed are: data, episodes, horizons"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    old: str, new: str, expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert old in STUDY
    (tmp_path / "small.yaml").write_text(RECIPE)
    (tmp_path / "study.yaml").write_text(STUDY.replace(old, new))
    code, said = run(capfd, "study", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out"))
    assert code == 2
    assert expected in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


LEVELS = """
name: levels
systems: [pendulum-swingup]
data: {episodes: 4, steps: 60, held_out_episodes: 2}
episodes: [1, 3]
horizons: [16]
starts: 10
minutes: 0.04
variants:
  - name: tree
  - {name: arrays, recipe: arrays}
"""


@pytest.mark.slow
def test_levels_are_compared_by_how_many_episodes_they_are_trained_on(tmp_path: Path, ray_of_two: None) -> None:
    (tmp_path / "study.yaml").write_text(LEVELS)
    arguments = [str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out"), "--workers", "2"]
    importlib.import_module("mosim.cli.study_command").main([*arguments, "--tracking-uri", "off"])
    table = pd.read_csv(tmp_path / "out" / "results.csv").query("model == 'mosim'")
    assert sorted(zip(table["variant"], table["knowledge"], table["episodes"], strict=True)) == [
        ("arrays, 1 episode", "arrays", 1),
        ("arrays, 3 episodes", "arrays", 3),
        ("tree, 1 episode", "tree", 1),
        ("tree, 3 episodes", "tree", 3),
    ]
    assert np.isfinite(table["mse"]).all()
    assert table["mse"].nunique() == 4
    kept = json.loads((tmp_path / "out" / "pendulum-swingup" / "tree-1-episode" / "seed-0" / "run.json").read_text())
    assert kept["recipe"]["episodes"] == 1
