"""Why trials come to nothing: by what they were trained with, or because their process died."""

from pathlib import Path

import torch
from ray.tune.experiment import Trial

from mosim.core.errors import DivergenceError, MosimError
from mosim.experiments.sweep import NO_SPACE

_NO_MEMORY = "can't allocate memory"
"""Of PyTorch's error where a CPU's memory is short; it has no class of its own."""


def lasting_failure(error: Exception) -> str | None:
    """What to say of a trial that another attempt would not help.

    Args:
      error: what stopped its training.

    Returns:
      A sentence that begins with `diverged`, `error` or `out of memory`; None where another attempt may help.
    """
    if isinstance(error, DivergenceError):
        return f"diverged: {error}"
    if isinstance(error, MosimError) and NO_SPACE not in str(error):
        return f"error: {error}"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY in str(error):
        what = str(error).rstrip(".") or "an array is too large"
        return (
            f"out of memory: {what}. Use narrower networks, smaller batches, shorter horizons, or fewer trials at a "
            "time (budget.concurrent)."
        )
    return None


def crash_of(trial: Trial) -> str:
    """Why a trial's process came to nothing, in a line, from what Tune has noted of its last attempt."""
    noted = Path(trial.error_file or "")
    text = noted.read_text() if noted.is_file() else trial.get_error()  # In storage, where an earlier driver noted it.
    # Each attempt under a heading; then Ray's words for a dead process, or those for an error and its traceback.
    last = str(text or "").rpartition("Failure #")[2]
    lines = [line.strip() for line in last.splitlines()[1:] if line.strip()]
    if not lines:
        return "died: no reason was recorded"
    return f"crashed: {lines[-1]}" if "ray::" in lines[0] else f"died: {lines[0]}"
