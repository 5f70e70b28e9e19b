"""What trials write aside is gone when they are, whatever ends them."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import WorkerCrashedError

from mosim.experiments.tune.working_folder import working_folder


@pytest.mark.slow
def test_the_folder_goes_with_the_trial_and_that_of_a_killed_process_with_the_next(ray_of_two: None) -> None:
    def trial(killed: bool) -> tuple[Path, list[Path]]:
        with working_folder() as folder:
            (folder / "checkpoint").touch()
            if killed:
                os.kill(os.getpid(), signal.SIGKILL)
            return folder, list(folder.parent.iterdir())

    remote: Any = ray.remote(max_retries=0)(trial)
    with pytest.raises(WorkerCrashedError):
        ray.get(remote.remote(killed=True))
    for _ in range(2):
        folder, seen = ray.get(remote.remote(killed=False))
        assert seen == [folder]
        assert not folder.exists()
