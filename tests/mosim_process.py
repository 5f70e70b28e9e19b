"""`mosim` as a user starts it, in a process of its own, but without waiting for imports.

A command spends seconds on importing torch, RLlib and MLflow, and the tests start dozens. One process imports them
once, and every command is forked from it, with a session, working folder, environment and output of its own. What
depends on how Python itself starts (the import path, variables that are read at import) needs a real start instead.
"""

import atexit
import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "mosim.cli.run_command",
        "mosim.cli.sweep_command",
        "mosim.cli.compare_command",
        "mosim.cli.evaluate_command",
        "ray.rllib.algorithms.ppo",
        "mlflow",
        "matplotlib.pyplot",
    ]
)


class Ended(NamedTuple):
    """How a command has ended.

    Attributes:
      returncode: its exit code; less than 0 if a signal ended it.
      stdout: all that it has printed.
      stderr: all that it has printed as errors.
    """

    returncode: int
    stdout: str
    stderr: str


class MosimProcess:
    """A command that runs.

    Attributes:
      pid: of its process, which is the first of its session and group.
    """

    def __init__(self, *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self._out, self._errors = (tempfile.NamedTemporaryFile() for _ in range(2))  # noqa: SIM115
        environment = {**os.environ, **(environment or {})}
        files = (self._out.name, self._errors.name)
        self._process = _forks.Process(target=_run, args=(arguments, str(cwd), environment, files))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Waits for its exit code, and raises TimeoutError after so many seconds."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError(f"mosim is still running after {seconds} s:\n{self.stdout}\n{self.stderr}")
        return self._process.exitcode

    def send_signal(self, sent: signal.Signals, group: bool = False) -> None:
        """Sends a signal to it, or as a terminal does to all of its group."""
        with contextlib.suppress(ProcessLookupError):  # It has just ended.
            (os.killpg if group else os.kill)(self.pid, sent)

    @property
    def stdout(self) -> str:
        return Path(self._out.name).read_text()

    @property
    def stderr(self) -> str:
        return Path(self._errors.name).read_text()


@contextlib.contextmanager
def started_mosim(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Iterator[MosimProcess]:
    """Starts a command, and kills its group if the block leaves it running."""
    process = MosimProcess(*arguments, cwd=cwd, environment=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL, group=True)
            process.wait()


def run_mosim(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Runs a command to its end."""
    with started_mosim(*arguments, cwd=cwd, environment=environment) as process:
        return Ended(process.wait(), process.stdout, process.stderr)


def _run(arguments: tuple[str, ...], cwd: str, environment: dict[str, str], files: tuple[str, str]) -> None:
    from mosim.cli.main import main

    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    raylet: Any = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")  # Ray reads its RAY_ variables when it is imported; now there are others.
    for descriptor, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["mosim", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # As at the end of a process that was not forked by multiprocessing.
