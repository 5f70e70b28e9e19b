"""A cluster grows for those who wait for its CPUs, and shrinks when they are done."""

import json
import subprocess
import sys
from pathlib import Path


def test_collection_makes_a_cluster_grow_and_leaves_it_to_shrink(
    autoscaling_cluster: dict[str, str], tmp_path: Path
) -> None:
    script = Path(__file__).with_name("growing_collection.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "data")],
        env=autoscaling_cluster,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"before": 1, "during": 3, "after": 1, "episodes": 60}
