"""Names are whatever somebody chose: the page and the figures of a paper show them as they are, and obey none."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logged_experiments import Logged, simulator, sweep, write_experiment

from mosim_analysis import Store, page, read_results, write_whole
from mosim_analysis.paper import write_figures
from mosim_analysis.web_page import embedded

HOSTILE = (
    "<!--<script>",
    "</script><script>window.hit = 1</script>",
    "<!--plotly-->",
    "<!--script--><!--data-->",
    "<img src=x onerror='window.hit = 1'>",
    "\"><svg onload='window.hit = 1'>",
    "<a href='javascript:window.hit = 1'>%{x} %{customdata[0]}</a>",
    "\u2028 ]]> &lt;b&gt; $\\frac{$ \\u003c",
)


def hostile_runs() -> list[Logged]:
    """A study whose every name is hostile, in two seeds, and a sweep likewise."""
    runs = []
    for place, text in enumerate(HOSTILE):
        for seed in range(2):
            run = simulator(
                f"run {text} {seed}", text, seed + 10 * place, 1e-6 * (place + 1), task=f"task {HOSTILE[0]}"
            )
            run.parameters = {**run.parameters, f"key.{text}": text, "stages.0.name": text, "seed": seed}
            run.tags = {**run.tags, f"tag {text}": text, "model.structure": text}
            curve = run.metrics["horizon_mse/mosim"]
            run.metrics = {**run.metrics, f"state_mse_100/00 {text}": ([100], [1e-6]), f"loss {text}": curve}
            runs.append(run)
    runs[-1].status, runs[-1].tags = "FAILED", {**runs[-1].tags, "failure": HOSTILE[1]}
    trials = sweep(name=HOSTILE[1])
    for trial in trials[1:]:
        trial.name += HOSTILE[0]
        trial.parameters = {HOSTILE[1] + name: value for name, value in trial.parameters.items()}
    return [*runs, *trials]


@pytest.fixture(scope="module")
def hostile(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    database = Path(shutil.copy(empty_store, tmp_path_factory.mktemp("hostile") / "mlflow.db"))
    return read_results(Store(write_experiment(database, hostile_runs(), HOSTILE[3])), HOSTILE[3])


def test_a_browser_shows_every_name_and_runs_none(hostile: Any, chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    write_whole(path, page(hostile, experiment=HOSTILE[3], source=HOSTILE[1]))
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(path.as_uri())
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []
    assert chromium.title == f"{HOSTILE[3]} · mosim compare"
    assert chromium.execute_script("return document.querySelector('h1').textContent") == HOSTILE[3]
    assert chromium.execute_script("return document.querySelector('.source').textContent") == HOSTILE[1]
    data = chromium.execute_script("return JSON.parse(document.getElementById('data').textContent)")
    assert {run["name"] for run in data["runs"]} >= {f"run {text} {seed}" for text in HOSTILE for seed in range(2)}
    figures = chromium.execute_async_script("""
      const done = arguments[0], figures = [...document.querySelectorAll('.figure')];
      for (const part of document.querySelectorAll('.task-part')) part.hidden = false;
      document.querySelectorAll('#groups details').forEach((each) => { each.open = true; });
      const wait = async () => {
        for (const figure of figures) {
          figure.scrollIntoView();
          while (figure.dataset.drawn === undefined) await new Promise((next) => setTimeout(next, 50));
        }
        done(figures.length);
      };
      wait();""")
    assert figures > 5
    assert chromium.execute_script("return window.hit") is None
    script = "return [...document.querySelectorAll('#groups .text')].map((each) => each.textContent)"
    listed = set(chromium.execute_script(script))
    assert {f"run {text} {seed}" for text in HOSTILE for seed in range(2)} <= listed
    odd = (
        "return document.querySelectorAll('main img, main svg [onload], .figure a, #groups script, main script').length"
    )
    assert chromium.execute_script(odd) == 0
    assert chromium.execute_script("return [...document.scripts].length") == 3
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []


@settings(max_examples=200)
@given(text=st.text() | st.sampled_from(HOSTILE))
def test_embedded_json_is_json_and_no_markup(text: str) -> None:
    content = embedded({text: [text]})
    assert json.loads(content) == {text: [text]}
    assert not set(content) & set("<>&\u2028\u2029")


def test_no_script_but_the_page_s_own_may_run(hostile: Any) -> None:
    html = page(hostile, experiment="e", source="s")
    policy = html.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_files_of_figures_stay_in_their_folder_whatever_a_task_is_called(empty_store: Path, tmp_path: Path) -> None:
    database = Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))
    tasks = ("/secret/folder/robot.xml", "../../robot.xml", "x" * 300, "-rf $HOME", HOSTILE[3])
    runs = [simulator("run", text, 0, 1e-6, task=task) for task, text in zip(tasks, HOSTILE[-5:], strict=True)]
    folder = tmp_path / "below" / "paper"
    written = write_figures(read_results(Store(write_experiment(database, runs)), "mosim"), folder)
    assert {path.parent for path in written} == {folder}
    assert len(set(written)) == len(written), "two figures share a file"
    for path in written:
        assert path.is_file()
        assert "secret" not in path.name
        assert path.name[0].isalnum()
        assert not set(path.name) & set(" $<>'\"/")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "mlflow.db"]
