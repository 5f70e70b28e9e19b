"""Events of trials, from Ray Tune's loop to whoever watches a sweep."""

import contextlib
import threading
from collections.abc import Callable, Collection
from typing import Any, Literal

from pydantic import Field
from ray.exceptions import RayError
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.queue import Empty, Queue

from mosim.core.frozen import Frozen
from mosim.experiments.sweep import FAILURE, SINCE_SECONDS
from mosim.experiments.tune.failures import crash_of

_POLL_SECONDS = 0.5

_TUNES = {
    "config", "trial_id", "done", "checkpoint_dir_name", "should_checkpoint",
    "date", "timestamp", "time_this_iter_s", "time_total_s", "training_iteration", "pid", "hostname", "node_ip",
    "time_since_restore", "iterations_since_restore", "experiment_tag",
}  # fmt: skip
"""What Tune adds to a report."""

_SCHEDULERS = (SINCE_SECONDS,)
"""What is reported for schedulers alone."""


class TrialEvent(Frozen):
    """Something that became of a trial.

    Attributes:
      trial: Tune's id.
      kind: `started`, also after an interruption; `reported`; `finished`, or stopped early; `failed`.
      draw: its settings.
      report: its last report, without what Tune adds; empty before the first.
      iteration: how many reports there were.
      failure: a sentence, where it failed.
    """

    trial: str
    kind: Literal["started", "reported", "finished", "failed"]
    draw: dict[str, Any]
    report: dict[str, Any] = Field(default={})
    iteration: int = 0
    failure: str = ""


def own_metrics(result: dict[str, Any]) -> dict[str, Any]:
    """What the trial itself has reported, of what Tune calls its result."""
    return {
        name: value
        for name, value in result.items()
        if name not in (*_TUNES, *_SCHEDULERS) and not name.startswith("config/")
    }


class Reporter(Callback):
    """Puts what Tune reports to its callbacks into a queue, since Tune's loop need not run where the user sits."""

    def __init__(self, queue: Queue, registry: Any) -> None:
        """`registry` learns which trials have ended; it may be None."""
        self._queue, self._registry = queue, registry
        self._running: dict[str, Trial] = {}

    @property
    def running(self) -> Collection[str]:
        """Trials that ran at the last step of Tune's loop; after Ctrl-C Tune itself says that they have ended."""
        return self._running.keys()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """See `Callback`."""
        self._running = {name: trial for name, trial in self._running.items() if not trial.is_finished()}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """See `Callback`."""
        self._running[trial.trial_id] = trial
        self._put(trial, "started")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """See `Callback`."""
        self._put(trial, "reported", result)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """See `Callback`."""
        self._end(trial, str((trial.last_result or {}).get(FAILURE) or ""))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """See `Callback`."""
        self._end(trial, crash_of(trial))

    def _end(self, trial: Trial, failure: str) -> None:
        if self._registry is not None:
            self._registry.give_up.remote(trial.trial_id)
        self._put(trial, "failed" if failure else "finished", trial.last_result, failure)

    def _put(self, trial: Trial, kind: str, result: dict[str, Any] | None = None, failure: str = "") -> None:
        event = TrialEvent(
            trial=trial.trial_id,
            kind=kind,  # pyright: ignore[reportArgumentType]
            draw=trial.config["draw"],
            report=own_metrics(result or {}),
            iteration=(result or {}).get("training_iteration", 0),
            failure=failure,
        )
        with contextlib.suppress(RayError):  # Who watches may be gone; the trials go on.
            self._queue.put_nowait(event)


@contextlib.contextmanager
def listening(queue: Queue, on_event: Callable[[TrialEvent], None]) -> Any:
    """Passes on the events of a queue while the block runs, from a thread, and what is left in it at the end."""
    done = threading.Event()

    def listen() -> None:
        while True:
            last = done.is_set()
            try:
                while True:
                    on_event(queue.get(timeout=_POLL_SECONDS))
            except Empty:
                if last:
                    return
            except RayError:  # The queue is gone for good, or its node is and it begins anew on another.
                if done.wait(_POLL_SECONDS):
                    return

    thread = threading.Thread(target=listen, name="mosim-sweep-events", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
