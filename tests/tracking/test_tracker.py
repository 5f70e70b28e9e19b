import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mosim.core.errors import MosimError
from mosim.tracking import Tracker, default_tracking_uri, environment_tags, sync, ui_command


def runs_of(store: str, experiment: str = "reacher") -> dict[str, Run]:
    """Every run of an experiment by its name; a name twice fails."""
    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    by_name = {str(run.info.run_name): run for run in runs}
    assert len(by_name) == len(runs)
    return by_name


def points_of(store: str, run: Run, name: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in MlflowClient(store).get_metric_history(run.info.run_id, name))


def test_everything_a_run_says_arrives(tmp_path: Path, store: str) -> None:
    output = tmp_path / "out"
    (output / "plots").mkdir(parents=True)
    (output / "plots" / "horizon.png").write_bytes(b"picture")
    (output / "returns.csv").write_text("steps\n1\n")
    with Tracker.open(output, "reacher", store) as tracker:
        parent = tracker.run("run", tags={"task": "reacher-easy"}, description="all of it")
        with tracker.run("train", parent) as child:
            child.log_parameters({"stages": [{"rate": 0.1, "loss": {"kind": "huber"}}], "seed": 3, "note": "x" * 7000})
            child.log_metrics({"mse/qpos/root[3]": 0.5, "loss": 2}, step=16)
            for step, value in enumerate([math.nan, math.inf, -math.inf]):
                child.log_metrics({"diverged": value}, step)
        parent.log_artifact(output / "plots")
        parent.log_artifact(output / "returns.csv", "tables")
        parent.set_tags({"dataset": "abc", "long": "y" * 9000})

    runs = runs_of(store)
    run, train = runs["run"], runs["train"]
    assert train.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert run.info.status == train.info.status == "FINISHED"
    assert run.data.tags["task"] == "reacher-easy"
    assert run.data.tags["dataset"] == "abc"
    assert run.data.tags["mlflow.note.content"] == "all of it"
    assert len(run.data.tags["long"]) == 8000
    assert train.data.params["stages.0.rate"] == "0.1"
    assert train.data.params["stages.0.loss.kind"] == "huber"
    assert train.data.params["seed"] == "3"
    assert len(train.data.params["note"]) == 6000
    assert points_of(store, train, "mse/qpos/root:3") == [(16, 0.5)]
    assert points_of(store, train, "loss") == [(16, 2.0)]
    diverged = [value for _, value in points_of(store, train, "diverged")]
    assert math.isnan(diverged[0])
    assert diverged[1:] == [sys.float_info.max, -sys.float_info.max]
    client = MlflowClient(store)
    assert [file.path for file in client.list_artifacts(run.info.run_id, "plots")] == ["plots/horizon.png"]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "tables")] == ["tables/returns.csv"]
    assert Path(str(run.info.artifact_uri).removeprefix("file://")).is_relative_to(tmp_path / "store" / "mlartifacts")


def interrupted_training(output: Path, store: str) -> None:
    with Tracker.open(output, "reacher", store) as tracker:
        train = tracker.run("train", tracker.run("run"))
        train.log_parameters({"rate": 0.1})
        for step in range(10):
            train.log_metrics({"loss": 1 / (step + 1), "nan": math.nan}, step)
        raise KeyboardInterrupt


def test_a_resume_goes_on_with_the_same_runs(tmp_path: Path, store: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_training(tmp_path / "out", store)
    assert {run.info.status for run in runs_of(store).values()} == {"KILLED"}
    with Tracker.open(tmp_path / "out", "reacher", store) as tracker:
        train = tracker.run("train", tracker.run("run"))
        train.log_parameters({"rate": 0.2, "batch": 8})
        for step in range(5, 20):
            train.log_metrics({"loss": 1 / (step + 1), "nan": math.nan}, step)
        train.log_metrics({"loss": 7.0}, 3)

    runs = runs_of(store)
    assert runs.keys() == {"run", "train"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["train"].data.params == {"rate": "0.1", "batch": "8"}
    assert "rate stays '0.1'" in caplog.text
    expected = [(step, 1 / (step + 1)) for step in range(20)]
    assert points_of(store, runs["train"], "loss") == sorted([*expected, (3, 7.0)])
    assert len(points_of(store, runs["train"], "nan")) == 20


def test_what_mlflow_refuses_holds_up_nothing_else(
    tmp_path: Path, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Tracker.open(tmp_path / "out", "reacher", store) as tracker:
        run = tracker.run("run")
        for step in range(20):
            run.log_metrics({"good": step, "../bad": step}, step)
        run.log_parameters({"ok": 1, "not//ok": 2})
    run = runs_of(store)["run"]
    assert len(points_of(store, run, "good")) == 20
    assert run.data.metrics.keys() == {"good"}
    assert run.data.params == {"ok": "1"}
    assert "../bad" in caplog.text
    assert sync(tmp_path / "out", store) == 0


def test_a_store_that_lost_its_runs_is_built_again(tmp_path: Path, store: str) -> None:
    for step in range(2):
        with Tracker.open(tmp_path / "out", "reacher", store) as tracker:
            tracker.run("run").log_metrics({"loss": 1.0}, step)
        if step == 0:
            with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database, database:
                for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608
    assert points_of(store, runs_of(store)["run"], "loss") == [(0, 1.0), (1, 1.0)]


def test_an_experiment_of_its_own_gets_everything(tmp_path: Path, store: str) -> None:
    for experiment in ("reacher", "another"):
        with Tracker.open(tmp_path / "out", experiment, store) as tracker:
            tracker.run("run").log_metrics({"loss": 1.0}, 0)
        assert points_of(store, runs_of(store, experiment)["run"], "loss") == [(0, 1.0)]


def test_off_keeps_nothing(tmp_path: Path) -> None:
    with Tracker.open(tmp_path / "out", "reacher", "off") as tracker, tracker.run("run") as run:
        run.log_metrics({"loss": 1.0}, 0)
        run.log_parameters({"rate": 0.1})
    assert not (tmp_path / "out").exists()


def test_a_failure_is_told_apart(tmp_path: Path, store: str) -> None:
    with Tracker.open(tmp_path / "out", "reacher", store) as tracker:
        with pytest.raises(ValueError, match="diverged"), tracker.run("bad"):
            raise ValueError("diverged")
        with tracker.run("good"):
            pass
    runs = runs_of(store)
    assert {name: run.info.status for name, run in runs.items()} == {"bad": "FAILED", "good": "FINISHED"}
    assert runs["bad"].data.tags["failure"] == "ValueError: diverged"


def test_a_failure_is_plain_text_and_goes_when_the_run_ends_well(tmp_path: Path, store: str) -> None:
    for ending in ("\x1b[36mray::Trainer.run()\x1b[39m died", None):
        with Tracker.open(tmp_path / "out", "reacher", store) as tracker:
            run = tracker.run("train")
            run.finish("FAILED" if ending else "FINISHED", ending or "")
        train = runs_of(store)["train"]
        assert train.data.tags.get("failure") == ("ray::Trainer.run() died" if ending else None)
        assert train.info.status == ("FAILED" if ending else "FINISHED")


def test_a_folder_has_one_tracker_at_a_time(tmp_path: Path, store: str) -> None:
    with Tracker.open(tmp_path / "out", "reacher", store):
        with pytest.raises(MosimError, match="in use by another mosim process"):
            Tracker.open(tmp_path / "out", "reacher", store)
        with pytest.raises(MosimError, match="in use by another mosim process"):
            sync(tmp_path / "out")
    Tracker.open(tmp_path / "out", "reacher", store).close()


def test_an_artifact_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    tracker = Tracker.open(tmp_path / "out", "reacher", "off")
    with pytest.raises(MosimError, match=r"nothing\.png cannot be logged"):
        tracker.run("run").log_artifact(tmp_path / "nothing.png")


def test_tracking_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@example.org:5000")
    assert default_tracking_uri() == "http://user:secret@example.org:5000"
    assert ui_command(default_tracking_uri()) == "open http://user:***@example.org:5000"
    rest = "ui --tracking-uri sqlite:////a/mlflow.db"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert ui_command("sqlite:////a/mlflow.db") == f"mosim {rest}"
    monkeypatch.setenv("PATH", "/nowhere")
    program, words = ui_command("sqlite:////a/mlflow.db").split(" ", maxsplit=1)
    assert words == rest
    assert Path(program).resolve() == Path(sys.executable).with_name("mosim").resolve()


def test_the_import_does_not_wait_for_mlflow() -> None:
    check = "import mosim.tracking, sys; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_environment_tags_name_versions_and_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tags = environment_tags()
    assert {"version.python", "version.mosim", "version.torch", "version.mujoco", "version.ray"} == tags.keys()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "file").write_text("one")
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert environment_tags()["mlflow.source.git.commit"] == head
    (tmp_path / "file").write_text("two")
    assert environment_tags()["mlflow.source.git.commit"] == f"{head}-dirty"
