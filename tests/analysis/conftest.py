"""MLflow stores, and a real browser to look at what comes of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logged_experiments import study, sweep, whole_run, write_experiment


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once, since that takes seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def database(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture(scope="session")
def everything(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store with a study, a sweep and three whole runs in one experiment."""
    folder = tmp_path_factory.mktemp("everything")
    store = Path(shutil.copy(empty_store, folder / "mlflow.db"))
    runs = [*study(), *sweep(), *(run for seed in range(3) for run in whole_run(seed))]
    return write_experiment(store, runs)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium without a network."""
    from selenium import webdriver

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        said = "Debian's packages chromium and chromium-driver are not installed"
        if "CI" in os.environ:
            pytest.fail(said)
        pytest.skip(said)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-sync",
            "--disable-component-update",
            "--no-first-run",
            "--window-size=1280,900",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(flag)
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
        browser.set_script_timeout(60)
        yield browser
        browser.quit()
