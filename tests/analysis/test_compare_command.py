"""`mosim compare`, as a process."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from logged_experiments import simulator, study, sweep, write_experiment

from mosim.cli.main import main
from mosim_analysis import Store, read_results
from mosim_process import Ended, run_mosim, started_mosim


def compare(folder: Path, *arguments: str) -> Ended:
    return run_mosim("compare", *arguments, cwd=folder)


def test_it_writes_a_page_that_needs_nothing_else(database: Path, tmp_path: Path) -> None:
    uri = write_experiment(database, study(seeds=1))
    result = compare(tmp_path, "--tracking-uri", uri, "--out", "report", "--paper")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "figures  report/paper, 12 files",
        "page     report/index.html, 4 runs in 4 groups, 1 of them failed",
    ]
    html = (tmp_path / "report" / "index.html").read_text()
    assert html.count("plotly.js v") == 1, "plotly.js is in it once"
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"'](?!data:)", html)
    assert "Traceback" not in result.stderr
    assert [path.name for path in (tmp_path / "report").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--experiment", "nope"], "has no experiment 'nope'; available: Default, mosim."),
        (["--runs", "nope"], "the experiment has no run 'nope'"),
        (
            ["--group-by", "model.structur"],
            "no run has a parameter or tag 'model.structur'; available: model.structure",
        ),
        (["--tracking-uri", "sqlite:///none.db"], "there is no MLflow store at sqlite:///"),
        (["--tracking-uri", "http://127.0.0.1:9"], "http://127.0.0.1:9 cannot be read: [Errno 111] Connection refused"),
        (["--every", "0"], "--every 0.0: input should be greater than 0"),
    ],
)
def test_mistakes_are_a_sentence(
    everything: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", everything)
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *arguments])
    errors = capsys.readouterr().err
    assert exit_.value.code == 2
    assert said in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "report").exists()
    assert not (tmp_path / "none.db").exists(), "looking makes no store"


def test_the_page_is_logged_where_that_is_asked_for(database: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = write_experiment(database, [simulator("run", "run", 0, 1e-6)])
    result = compare(tmp_path, "--tracking-uri", uri, "--log")
    assert result.returncode == 0, result.stderr
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("mosim")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id], "tags.phase = 'compare'")
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["index.html"]
    assert read_results(Store(uri), "mosim").runs["name"].tolist() == ["run"], "the page's own run is none of them"


@pytest.mark.timeout(120)
def test_a_watched_page_is_rewritten_as_trials_report_until_ctrl_c(database: Path, tmp_path: Path) -> None:
    parent, *trials = sweep(trials=6)
    uri = write_experiment(database, [parent, *trials[:3]])
    page = tmp_path / "report" / "index.html"
    with started_mosim("compare", "--tracking-uri", uri, "--watch", "--every", "0.3", cwd=tmp_path) as process:
        wait_until(lambda: page.is_file() and "3 runs" in page.read_text())
        assert '<meta http-equiv="refresh"' in page.read_text()
        before = page.stat().st_mtime_ns
        time.sleep(1.5)
        assert page.stat().st_mtime_ns == before, "no news, no new page"
        write_experiment(database, [*trials[3:], simulator("late", "late", 0, 1e-6, status="RUNNING")])
        wait_until(lambda: "7 runs" in page.read_text())
        assert page.read_text().rstrip().endswith("</html>")
        process.send_signal(signal.SIGINT, group=True)
        assert process.wait(60) == 0, process.stderr
        assert "report/index.html: 3 runs, 3 finished" in process.stdout
        assert "report/index.html: 7 runs, 6 finished, 1 running" in process.stdout
    assert '<meta http-equiv="refresh"' not in page.read_text(), "what is left no longer loads itself anew"


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
