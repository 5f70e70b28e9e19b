"""A small dataset, collected once and copied to each test that wants one."""

import shutil
from pathlib import Path

import pytest

from mosim.data import collect


@pytest.fixture(scope="session")
def _collected_once(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "data"
    collect("reacher-easy", folder, episodes=12, steps=40, workers=1, seed=5)
    return folder


@pytest.fixture
def small_dataset(_collected_once: Path, tmp_path: Path) -> Path:
    """A dataset of 12 episodes of reacher, in shards of 5, 5 and 2, that the test may spoil."""
    return Path(shutil.copytree(_collected_once, tmp_path / "data"))
