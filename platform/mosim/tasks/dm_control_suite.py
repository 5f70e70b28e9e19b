"""dm_control, imported without what it says of screens and old model files."""

import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # GLFW's word on a missing screen; nothing is drawn here.
    from dm_control import suite
    from dm_control.rl import control

logging.getLogger("absl").setLevel(logging.ERROR)  # Deprecated attributes in the suite's own model files.

__all__ = ["control", "suite"]
