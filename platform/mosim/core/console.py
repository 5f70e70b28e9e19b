"""What a user sees while mosim works: progress, warnings, tables; and where everyone else's chatter goes.

Ray, RLlib, MLflow and MuJoCo write to the process's standard output and error from Python, from C++ and from threads of
their own. `quiet` turns both, as file descriptors, into a log file, and keeps the terminal for `console`.
"""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from mosim.core.files import require_writable

LOG_FILE = "mosim.log"
"""Of an output folder: where `quiet` has libraries say what they say."""


class _Terminal(io.TextIOBase):
    """Standard output as it is at each moment, or what `quiet` has kept of it."""

    kept: TextIO | None = None

    @property
    def _stream(self) -> TextIO:
        # Under a live progress display sys.stdout is a proxy of rich's that writes to `console`, and so to here.
        return self.kept or getattr(sys.stdout, "rich_proxied_file", sys.stdout)

    def write(self, text: str) -> int:
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


_terminal = _Terminal()

console = Console(file=cast(TextIO, _terminal), highlight=False, soft_wrap=True, markup=False, emoji=False)
"""Standard output as mosim's own words use it; still the terminal when `quiet` has turned the rest away.

What is printed appears as it is, since names and paths may hold brackets and colons; style is a matter of `rich.text`.
"""

logger = logging.getLogger("mosim")
logger.addHandler(logging.NullHandler())
logger.propagate = False  # The console shows what a user should see, and the log file keeps it.


def warn(sentence: str) -> None:
    """Tells the user of something that does not stop the work."""
    logger.warning(sentence)
    console.print(Text.assemble(("warning:", "yellow"), f" {sentence}"))


def plain(text: str) -> str:
    """The text without a terminal's colours, which the traces in Ray's errors have."""
    return Text.from_ansi(text).plain


def progress_bar() -> Progress:
    """A progress display in the project's one style; tasks carry a `status` field for what is worth watching."""
    return Progress(
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=console,
        disable=not console.is_terminal and "MOSIM_PROGRESS" not in os.environ,
    )


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 The library's name.
        """Says nothing: where the disk is full, whoever writes what matters says so."""
        del record


@contextmanager
def quiet(log_path: Path, verbose: bool = False) -> Iterator[None]:
    """Sends standard output and error, but not `console`, to a log file while the block runs.

    Args:
      log_path: the file, appended to; made with its folders.
      verbose: leave both on the terminal, and log mosim's own messages alone.

    Raises:
      MosimError: `log_path` is no regular file.
    """
    if log_path != Path(os.devnull):  # For a command that keeps none.
        require_writable(log_path)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(log_path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        if verbose:
            yield
            return
        with _descriptors_turned(log_path), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except Exception:
        logger.exception("stopped by an error")
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


@contextmanager
def _descriptors_turned(log_path: Path) -> Iterator[None]:
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    with log_path.open("a") as log, os.fdopen(terminal, "w", buffering=1, closefd=False) as kept:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        _terminal.kept = kept
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            _terminal.kept = None
            os.dup2(terminal, 1)
            os.dup2(errors, 2)
            os.close(terminal)
            os.close(errors)
