"""A cluster grows for those who wait for its CPUs, and shrinks when they are done."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def told_by(script: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What a script of this folder prints that is run on the cluster."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_collection_makes_a_cluster_grow_and_leaves_it_to_shrink(
    autoscaling_cluster: dict[str, str], tmp_path: Path
) -> None:
    told = told_by("growing_collection.py", tmp_path / "data", autoscaling_cluster)
    assert told == {"before": 1, "during": 3, "after": 1, "episodes": 60}


@pytest.mark.slow
def test_a_sweep_makes_a_cluster_grow_and_leaves_it_to_shrink(
    autoscaling_cluster: dict[str, str], tmp_path: Path
) -> None:
    told = told_by("growing_sweep.py", tmp_path / "sweep", autoscaling_cluster)
    assert told == {"before": 1, "during": 3, "after": 1, "trials": 2}
