"""MLflow as mosim uses it: it waits for nobody, says nothing on the terminal and nothing to its makers."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mosim.core.errors import MosimError
from mosim.tracking.destination import without_password
from mosim.tracking.limits import reason

_ENVIRONMENT = {
    # MLflow's own would block for minutes; the sender tries again by itself, for as long as it takes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Set where the user has not."""

_CHATTERERS = ("mlflow", "alembic")


def import_mlflow() -> None:
    """Imports MLflow with these settings, which takes seconds. Call it where MLflow is needed, before importing it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 After the settings, some of which it reads but once; it sets its own loggers up too.

    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in _CHATTERERS:
            logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def store_errors(uri: str, what: str) -> Iterator[None]:
    """Turns MLflow's errors about a store into one sentence: the store, `what`, such as "cannot be read", and why.

    Raises:
      MosimError: MLflow raised one.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise MosimError(f"{without_password(uri)} {what}: {reason(error)}") from None
