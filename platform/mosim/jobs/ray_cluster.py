"""Ray, started quietly and modestly, or joined, or used as it stands."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import ray

from mosim.core.errors import MosimError
from mosim.jobs.import_path import ImportPath

OBJECT_STORE_BYTES = 512 << 20
"""Shared memory of a local Ray. mosim passes little through it: trajectories travel as files."""

_LONGEST_TEMPORARY_FOLDER = 40
"""Characters; Ray's sockets lie some 60 deeper, and the path of a Unix socket may have 107."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",
}
"""Settings that answer what Ray would otherwise warn or ask about; what the user has set stands."""

_NOT_NICE = {"RAY_worker_niceness": "0"}
"""Ray's workers would give way to every other process by default; here the work itself is theirs."""


_CLIENT = "ray://"
"""How the address of a cluster begins that this process is no part of."""


@contextmanager
def started(
    num_cpus: int | None = None, address: str | None = None, worker_threads: int = 1, log_to_driver: bool = True
) -> Iterator[None]:
    """Makes Ray available while the block runs, and shuts down only what it started.

    A Ray that this process has initialised already is used as it stands, whatever the arguments say. Otherwise the
    cluster at `address`, or the one that RAY_ADDRESS names, is joined; without either a local Ray is started, with
    no dashboard. Within `kept`, what is started stays until the end of that block. Ray's chatter goes to standard
    output and error; `mosim.core.console.quiet` turns both away.

    Args:
      num_cpus: CPUs that a local Ray counts with, 1 or more; those of the machine by default.
      address: of a cluster, such as `auto` or `ray://head:10001`; `local` starts a Ray whatever RAY_ADDRESS says.
      worker_threads: threads of OpenMP, so of torch and BLAS, in a worker that does not ask for more.
      log_to_driver: whether what workers print is printed here too.

    Raises:
      MosimError: no cluster answers at `address`.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    wanted = _Settings(num_cpus, address, worker_threads, log_to_driver)
    kept = _KEPT.get()
    if kept is not None:
        with kept.used(wanted):
            yield
        return
    if ray.is_initialized():
        yield
        return
    _start(wanted)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def kept() -> Iterator[None]:
    """Has all that the block calls `started` for share one Ray, since it takes seconds to start.

    The first of them starts it, and the block's end shuts it down. One that asks for another Ray or for more CPUs gets
    it, if nothing uses the one before any more.
    """
    if ray.is_initialized():
        yield
        return
    token = _KEPT.set(_Kept())
    try:
        yield
    finally:
        _KEPT.reset(token)
        ray.shutdown()


class _Settings(NamedTuple):
    """As the arguments of `started`."""

    num_cpus: int | None
    address: str
    worker_threads: int
    log_to_driver: bool


class _Kept:
    """The Ray that `kept` keeps."""

    def __init__(self) -> None:
        self._settings: _Settings | None = None
        self._users = 0

    @contextmanager
    def used(self, wanted: _Settings) -> Iterator[None]:
        """Has it started, as far as the one that runs does not do."""
        if self._settings is None or not (self._users or self._suits(wanted, self._settings)):
            ray.shutdown()
            self._settings = None
            _start(wanted)
            self._settings = wanted
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1

    def _suits(self, wanted: _Settings, running: _Settings) -> bool:
        enough = _cpus(wanted) <= _cpus(running)
        return enough and wanted._replace(num_cpus=None) == running._replace(num_cpus=None)


_KEPT: ContextVar[_Kept | None] = ContextVar("_KEPT", default=None)


def _cpus(settings: _Settings) -> int:
    return settings.num_cpus or os.cpu_count() or 1


def _start(settings: _Settings) -> None:
    threads = {"OMP_NUM_THREADS": str(settings.worker_threads)}
    with environment(_QUIET | _NOT_NICE | threads):
        if settings.address == "local":
            ray.init(
                address=settings.address,
                num_cpus=settings.num_cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=settings.log_to_driver,
                job_config=ImportPath(),
                _temp_dir=_short_temporary_folder(),
            )
        else:
            environment_variables = {"env_vars": _QUIET | threads}
            _join(settings.address, log_to_driver=settings.log_to_driver, runtime_env=environment_variables)


def _join(address: str, **settings: Any) -> None:
    if not address.startswith(_CLIENT):  # Whose driver runs on the cluster, and so does its working folder.
        settings["job_config"] = ImportPath()
    try:
        ray.init(address=address, **settings)
    except ConnectionError as error:
        raise MosimError(
            f"no Ray cluster answers at {address}: {error}. If the cluster needs a token, store it in "
            "~/.ray/auth_token and set RAY_AUTH_MODE=token."
        ) from None


@contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Sets variables for the block and what is started in it, but not those that are set, and takes them back."""
    missing = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _short_temporary_folder() -> str | None:
    """A folder for Ray's sockets where the usual one has too long a path, else None."""
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(usual) <= _LONGEST_TEMPORARY_FOLDER:
        return None
    return str(Path("/tmp/ray"))  # noqa: S108 Ray's own default, and it makes the folders inside private.
