"""The page, and MLflow's own compare page, as a user meets them: in a real browser, wide and narrow."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged_experiments import SCREENSHOTS
from PIL import Image

from mosim_analysis import Store, page, read_results, write_whole

WIDTHS = (1280, 400)
HEIGHT = 900
WAIT_SECONDS = 30.0

HORIZON = "0-horizon"


@pytest.fixture(scope="module")
def path(everything: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_whole(path, page(read_results(Store(everything), "mosim"), experiment="mosim", source=everything))
    return path


def resize(browser: Any, width: int, height: int = HEIGHT) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def network(browser: Any, offline: bool) -> None:
    browser.execute_cdp_cmd("Network.enable", {})
    limits = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", limits)


@pytest.fixture(params=WIDTHS)
def opened(request: pytest.FixtureRequest, chromium: Any, path: Path) -> Iterator[tuple[Any, int]]:
    """The browser with the page, and its width."""
    resize(chromium, request.param)
    network(chromium, offline=True)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(path.as_uri())
    chromium.execute_script("sessionStorage.clear()")
    chromium.get(path.as_uri())
    yield chromium, request.param
    network(chromium, offline=False)


def wait_for(browser: Any, script: str, *arguments: object) -> Any:
    """What a script returns, once that is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := browser.execute_script(script, *arguments)):
        assert time.monotonic() < deadline, f"never true: {script}"
        time.sleep(0.05)
    return found


def show(browser: Any, figure: str) -> None:
    """Scrolls to a figure, and waits until it is drawn, with all that was switched."""
    browser.execute_script("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", figure)
    wait_for(
        browser, "return document.getElementById(arguments[0]).dataset.drawn === document.body.dataset.switched", figure
    )


def runs_drawn(browser: Any, figure: str) -> set[str]:
    """Ids of the runs whose points are in a figure."""
    script = """
      return document.getElementById(arguments[0]).data
        .filter((trace) => trace.visible !== false && trace.meta?.runs)
        .flatMap((trace) => trace.customdata.map((said) => said[1]));"""
    return set(browser.execute_script(script, figure))


def groups_drawn(browser: Any, figure: str) -> set[str]:
    script = """
      return document.getElementById(arguments[0]).data
        .filter((trace) => trace.visible !== false)
        .flatMap((trace) => trace.meta.columns ? trace.x : [trace.meta.group]);"""
    return set(browser.execute_script(script, figure)) - {None}


def screenshot(browser: Any, name: str) -> np.ndarray:
    """What is on the screen, `(height, width, 3)`, which is kept for CI to show."""
    png = browser.get_screenshot_as_png()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / name).write_bytes(png)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def assert_not_blank(image: np.ndarray) -> None:
    colours, counts = np.unique(image.reshape(-1, 3) // 16, axis=0, return_counts=True)
    assert len(colours) > 30, "a page of text and figures has many colours"
    assert counts.max() < 0.97 * counts.sum()


def open_controls(browser: Any) -> None:
    browser.execute_script("document.getElementById('controls').open = true")


def test_it_opens_without_a_network_and_without_an_error(opened: tuple[Any, int]) -> None:
    browser, width = opened
    figures = browser.execute_script("return [...document.querySelectorAll('.figure')].map((each) => each.id)")
    assert {name.partition("-")[2] for name in figures} == {
        "horizon", "dimensions", "loss", "samples", "seconds", "speed", "sweep-0", "importance-0", "returns",
    }  # fmt: skip
    for figure in figures:
        show(browser, figure)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    scrolled, shown = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scrolled <= shown <= width, "nothing reaches beyond the side of the screen"
    browser.execute_script("scrollTo(0, 0)")
    assert_not_blank(screenshot(browser, f"compare-{width}.png"))
    resize(browser, width, 5000)
    time.sleep(0.5)
    assert_not_blank(screenshot(browser, f"compare-{width}-whole.png"))


def test_a_click_switches_a_run_off_in_every_figure_and_on_again(opened: tuple[Any, int]) -> None:
    browser, _ = opened
    show(browser, HORIZON)
    before = runs_drawn(browser, HORIZON)
    assert len(before) == 11 + 12 + 3
    open_controls(browser)
    details = browser.find_element("css selector", "#groups details[data-name='narrow'] summary")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", details)
    details.click()
    wait_for(browser, "return document.querySelector('#groups details[data-name=narrow] input') !== null")
    box = browser.find_element("css selector", "#groups details[data-name='narrow'] input")
    run = box.get_attribute("data-run")
    box.click()
    assert runs_drawn(browser, HORIZON) == before - {run}
    show(browser, "0-loss")
    assert run not in runs_drawn(browser, "0-loss")
    row = browser.find_element("css selector", f"tr[data-run='{run}']")
    assert not row.is_displayed()
    browser.refresh()
    show(browser, HORIZON)
    assert runs_drawn(browser, HORIZON) == before - {run}, "it is remembered when the page loads itself anew"
    open_controls(browser)
    browser.find_element("id", "all").click()
    assert runs_drawn(browser, HORIZON) == before


def test_a_click_switches_a_group_off(opened: tuple[Any, int]) -> None:
    browser, _ = opened
    open_controls(browser)
    box = browser.find_element("css selector", "input[data-group-box='search']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    box.click()
    for figure in (HORIZON, "0-speed", "0-dimensions"):
        show(browser, figure)
        drawn = groups_drawn(browser, figure)
        assert "search" not in drawn
        assert "narrow" in drawn
    narrow = browser.find_element("css selector", "input[data-group-box='narrow']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", narrow)
    narrow.click()
    show(browser, "0-dimensions")
    assert "narrow" not in groups_drawn(browser, "0-dimensions")
    cells = "return [...document.querySelectorAll('.differences [data-group=narrow]')].every((cell) => cell.hidden)"
    assert browser.execute_script(cells)


def test_runs_are_found_by_name(opened: tuple[Any, int]) -> None:
    browser, _ = opened
    open_controls(browser)
    browser.find_element("id", "filter").send_keys("narrow seed-1")
    names = "return [...document.querySelectorAll('#groups [data-run]')].map((box) => box.parentElement.innerText)"
    assert wait_for(browser, names) == ["reacher-easy narrow seed-1"]


def test_a_hover_shows_the_run_and_its_value(opened: tuple[Any, int]) -> None:
    from selenium.webdriver import ActionChains

    browser, width = opened
    show(browser, HORIZON)
    script = """
      const figure = document.getElementById(arguments[0]);
      const trace = figure.data.find((each) => each.meta?.runs && each.meta.group === "search");
      const index = trace.x.indexOf(16), layout = figure._fullLayout, box = figure.getBoundingClientRect();
      return [box.left + layout._size.l + layout.xaxis.d2p(trace.x[index]),
              box.top + layout._size.t + layout.yaxis.d2p(trace.y[index]),
              trace.customdata[index][0], trace.y[index]];"""
    x, y, name, value = browser.execute_script(script, HORIZON)
    ActionChains(browser).move_by_offset(round(x) - 3, round(y)).move_by_offset(3, 0).perform()
    said = wait_for(browser, "return document.querySelector('.hoverlayer .hovertext')?.textContent")
    screenshot(browser, f"hover-{width}.png")
    ActionChains(browser).move_by_offset(-round(x), -round(y)).perform()
    assert name in said
    assert "at 16 steps" in said
    shown = said.rpartition(": ")[2].replace("\u2212", "-")
    assert float(shown) == pytest.approx(value, rel=0.01)


def test_failed_runs_are_told_and_a_name_is_never_markup(opened: tuple[Any, int]) -> None:
    browser, _ = opened
    browser.find_element("css selector", ".troubles summary").click()
    said = browser.find_element("css selector", ".troubles").text
    assert said.startswith("1 run failed")
    assert "reacher-easy wide seed-2 failed: diverged: the loss is not <finite>" in said


class MlflowServer:
    """`mlflow server` on a loopback port."""

    def __init__(self, store: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
        command = [sys.executable, "-m", "mlflow", "server", "--port", self.uri.rpartition(":")[2], "--workers", "1"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            [*command, "--backend-store-uri", store],
            stdout=self._log, stderr=self._log, cwd=folder, env=environment, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):  # noqa: S310
                    return
            except OSError:
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.2)

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def server(everything: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(everything, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.mark.parametrize("width", WIDTHS)
def test_mlflow_s_own_compare_page_shows_the_same_runs(chromium: Any, server: MlflowServer, width: int) -> None:
    store = Store(server.uri)
    runs = [run for run in store.runs("mosim") if run.data.tags.get("variant") in ("narrow", "as shipped")]
    ids, experiment = [run.info.run_id for run in runs], runs[0].info.experiment_id
    resize(chromium, width)
    chromium.get(f'{server.uri}/#/compare-runs?runs={json.dumps(ids)}&experiments=["{experiment}"]')
    said = wait_for(
        chromium,
        "const text = document.body.innerText; return text.includes(arguments[0]) && text",
        "reacher-easy narrow seed-1",
    )
    assert "Comparing 6 Runs" in said
    time.sleep(1.0)
    assert_not_blank(screenshot(chromium, f"mlflow-compare-{width}.png"))
    resize(chromium, width, 3000)
    said = wait_for(
        chromium,
        "const text = document.body.innerText; return arguments.length && text.includes(arguments[0]) && text",
        "horizon_mse/mosim",
    )
    for name in ("stages.0.learning_rate", "rollout_steps_per_second", "state_mse_1/00 qpos shoulder"):
        assert name in said
    screenshot(chromium, f"mlflow-compare-{width}-whole.png")
