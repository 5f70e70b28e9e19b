"""The thread that replays the journal while the work goes on."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from mosim.core.console import logger, warn
from mosim.tracking.destination import sync_command
from mosim.tracking.limits import reason
from mosim.tracking.replay import Replay

_COALESCE_SECONDS = 1.0
"""How long events are gathered before they are sent together."""

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
"""Between attempts at a server that fails, doubling from the first to the longest."""

_WARN_AFTER_SECONDS = 3.0
"""How long a server may fail before the user hears of it."""


class Sender:
    """Runs a replay in a daemon thread, and tries again, for as long as it lives, what cannot be sent."""

    def __init__(self, replay: Replay, folder: Path, destination: str, at_end: Callable[[], None]) -> None:
        """Starts the thread.

        Args:
          replay: used by the thread alone from now on.
          folder: the output folder, named in the warning.
          destination: the tracking URI as it may be shown.
          at_end: called by the thread when it ends.
        """
        self._replay = replay
        self._folder = folder
        self._destination = destination
        self._at_end = at_end
        self._news = threading.Event()
        self._closing = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="mosim-tracking", daemon=True)
        self._thread.start()
        self._news.set()  # An earlier process may have left something.

    def notify(self) -> None:
        """Tells the thread that the journal grew."""
        self._news.set()

    def close(self, timeout_seconds: float) -> int:
        """Sends what is left, gives up at the first failure or when the time is over, and returns what is unsent."""
        self._closing.set()
        self._news.set()
        self._thread.join(timeout_seconds)
        return self._replay.unsent()

    def _run(self) -> None:
        try:
            self._send_until_closed()
        finally:
            self._at_end()

    def _send_until_closed(self) -> None:
        failing_since, pause = None, _FIRST_PAUSE_SECONDS
        while True:
            if failing_since is None:
                self._news.wait()
                self._closing.wait(_COALESCE_SECONDS)
            else:
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            closing = self._closing.is_set()
            self._news.clear()
            started = time.monotonic()
            try:
                while self._replay.step():
                    pass
                failing_since, pause = None, _FIRST_PAUSE_SECONDS
            except Exception as error:
                # Whatever it is, it must not stop the work.
                failing_since = failing_since or started
                self._explain(error, time.monotonic() - failing_since)
                closing = self._closing.is_set()
            if closing:
                return

    def _explain(self, error: Exception, seconds: float) -> None:
        logger.info("tracking: %s does not accept events: %s", self._destination, error)
        if seconds >= _WARN_AFTER_SECONDS and not self._warned and not self._closing.is_set():
            self._warned = True
            warn(
                f"the tracking server {self._destination} does not accept events ({reason(error)}). The work "
                "continues, and all events are kept; if this persists, send them later with: "
                f"{sync_command(self._folder, self._destination)}"
            )
