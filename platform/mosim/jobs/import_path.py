"""Where Ray's workers import from: as the process that starts them does."""

import os
import sys
import sysconfig
from itertools import takewhile

from ray.job_config import JobConfig


class ImportPath(JobConfig):
    """Keeps the working folder off the workers' path, unless this process imports from there before all else, too.

    Ray would put it first. A folder that came from somebody else may hold a `torch.py`, which would run in its place.
    What stays is the folder of the user's own script, or the one where `python -m` or a notebook was started.
    """

    def _serialize(self) -> str:
        library = sysconfig.get_path("stdlib")
        own = {os.path.abspath(folder) for folder in takewhile(lambda folder: folder != library, sys.path)}
        self._py_driver_sys_path = [folder for folder in self._py_driver_sys_path if folder in own]
        return super()._serialize()
