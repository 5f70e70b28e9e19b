"""A thousand runs: they are all read, and the page that shows them opens."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged_experiments import simulator, write_experiment

from mosim_analysis import Store, page, read_results, write_whole

RUNS, GROUPS = 1000, 10

READ_SECONDS, OPEN_SECONDS, PAGE_MEGABYTES = 240.0, 30.0, 15.0
"""Far above what was measured, since a test machine is busy; docs/compare.md has the measurements."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_runs_are_read_and_shown(empty_store: Path, tmp_path: Path, chromium: Any) -> None:
    database = Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))
    levels = np.geomspace(1e-7, 1e-4, GROUPS)
    runs = [
        simulator(f"run {number}", f"variant {number % GROUPS}", number, levels[number % GROUPS])
        for number in range(RUNS)
    ]
    uri = write_experiment(database, runs)
    began = time.perf_counter()
    results = read_results(Store(uri), "mosim")
    read = time.perf_counter() - began
    began = time.perf_counter()
    html = page(results, experiment="mosim", source="a test")
    made = time.perf_counter() - began
    write_whole(tmp_path / "index.html", html)
    chromium.get((tmp_path / "index.html").as_uri())
    opened = chromium.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    deadline = time.monotonic() + 60
    while not chromium.execute_script("return Boolean(document.querySelector('.figure .main-svg'))"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shown = chromium.execute_script("""
      return new Set(document.getElementById('0-horizon').data.filter((trace) => trace.meta.runs)
        .flatMap((trace) => trace.customdata.map((said) => said[1]))).size""")
    print(f"read in {read:.1f} s, made in {made:.1f} s, {len(html) / 1e6:.1f} MB, opened in {opened:.1f} s")  # noqa: T201
    assert len(results.runs) == shown == RUNS
    assert results.runs.groupby("group").size().tolist() == [RUNS // GROUPS] * GROUPS
    assert len(results.curves) == RUNS * 100
    assert read < READ_SECONDS
    assert opened < OPEN_SECONDS
    assert len(html) < PAGE_MEGABYTES * 1e6
