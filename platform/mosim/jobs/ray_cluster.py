"""Ray, started quietly and modestly, or joined, or used as it stands."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    no dashboard. Ray's chatter goes to standard output and error; `mosim.core.console.quiet` turns both away.

    Args:
      num_cpus: CPUs that a local Ray counts with, 1 or more; those of the machine by default.
      address: of a cluster, such as `auto` or `ray://head:10001`; `local` starts a Ray whatever RAY_ADDRESS says.
      worker_threads: threads of OpenMP, so of torch and BLAS, in a worker that does not ask for more.
      log_to_driver: whether what workers print is printed here too.

    Raises:
      MosimError: no cluster answers at `address`.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    threads = {"OMP_NUM_THREADS": str(worker_threads)}
    with environment(_QUIET | _NOT_NICE | threads):
        if address == "local":
            ray.init(
                address=address,
                num_cpus=num_cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=log_to_driver,
                job_config=ImportPath(),
                _temp_dir=_short_temporary_folder(),
            )
        else:
            _join(address, log_to_driver=log_to_driver, runtime_env={"env_vars": _QUIET | threads})
    try:
        yield
    finally:
        ray.shutdown()


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
