"""MLflow's own interface, as a process beside this one."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from mosim.core.errors import MosimError
from mosim.tracking.destination import OFF, SQLITE, absolute_uri, artifact_location, without_password
from mosim.tracking.limits import MAX_REASON_LENGTH, shortened

_START_SECONDS = 120.0
"""How long it may take to answer; seconds as a rule, longer on a machine that has much to do."""

_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.1

_FREE_PORTS_TRIED = 50

_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # Several processes fewer, for what runs do not use.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def server_address(uri: str) -> str | None:
    """The address of the server that a tracking URI names, without its password; None where it names no server."""
    return without_password(uri) if uri.startswith(("http://", "https://")) else None


class Interface:
    """A running interface; a context manager, at whose end it is gone.

    Attributes:
      store: the tracking URI it shows, without a password.
      address: where a browser finds it.
    """

    def __init__(self, tracking_uri: str, host: str, port: int) -> None:
        """Checks what is asked for; `__enter__` starts it.

        Args:
          tracking_uri: of a store that is not a server's.
          host: the address to listen at.
          port: likewise; 0 is any that is free.

        Raises:
          MosimError: there is no such store, or the port is taken.
        """
        self._uri = absolute_uri(tracking_uri)
        _require_store(self._uri)
        port = port or _any_port(host)
        _require_free(host, port)
        self.store = without_password(self._uri)
        self._host, self._port = host, port
        self.address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 Compared, not bound.
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 Closed with the process.
        # Python and uvicorn import from the folder that they work in, which may be somebody else's.
        self._folder = tempfile.TemporaryDirectory(prefix="mosim-ui-")

    def __enter__(self) -> "Interface":
        """Starts it, and waits until it answers.

        Raises:
          MosimError: it ended instead, or does not answer.
        """
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._uri, "--workers", "1"]
        command += ["--host", self._host, "--port", str(self._port)]
        if artifacts := artifact_location(self._uri):
            command += ["--artifacts-destination", artifacts]
        # In a session of its own, so that Ctrl-C comes to this process alone, which then ends all of MLflow's.
        self._process = subprocess.Popen(
            command,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=_ENVIRONMENT | os.environ,
            cwd=self._folder.name,
        )
        try:
            self._await_answer(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self) -> None:
        """Waits for as long as it runs.

        Raises:
          MosimError: it ended by itself.
        """
        if self._process is not None:
            self._process.wait()
            raise MosimError(f"the MLflow UI ended unexpectedly: {self._last_words()}")

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise MosimError(f"the MLflow UI does not start: {self._last_words()}")
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=1):  # noqa: S310 Its own address.
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(_POLL_SECONDS)
        raise MosimError(f"the MLflow UI at {self.address} does not respond: {self._last_words()}")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(_STOP_SECONDS)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()
        self._log.close()
        self._folder.cleanup()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return shortened(lines[-1] if lines else "it printed nothing", MAX_REASON_LENGTH)


def _require_store(uri: str) -> None:
    if uri == OFF:
        raise MosimError("the tracking URI is off, so nothing is tracked; give a store with --tracking-uri.")
    if uri == "databricks" or uri.startswith("databricks://"):
        raise MosimError("Databricks has a UI of its own; see the runs there.")
    place = Path(uri.removeprefix(SQLITE).removeprefix("file://"))
    local = uri.startswith((SQLITE, "file://")) or "://" not in uri
    if local and not place.exists():
        raise MosimError(
            f"there is no MLflow store at {place}. Commands such as mosim train create one in their working folder; "
            "give it as --tracking-uri sqlite:///FOLDER/mlflow.db."
        )


def _require_free(host: str, port: int) -> None:
    try:
        _bind(host, port)
    except OSError as error:
        free = next((near for near in range(port + 1, min(port + _FREE_PORTS_TRIED, 65536)) if _is_free(host, near)), 0)
        hint = f"; --port {free} is free" if free else ""
        raise MosimError(f"port {port} on {host} cannot be used: {error.strerror or error}{hint}.") from None


def _is_free(host: str, port: int) -> bool:
    try:
        _bind(host, port)
    except OSError:
        return False
    return True


def _any_port(host: str) -> int:
    try:
        return _bind(host, 0)
    except OSError as error:
        raise MosimError(f"{host} is not an address to listen on: {error.strerror or error}.") from None


def _bind(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As servers do, after one that has just ended.
        probe.bind((host, port))
        return int(probe.getsockname()[1])
