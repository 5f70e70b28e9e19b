"""Says to MLflow what the journal says. Saying it twice changes nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mosim.core.console import logger
from mosim.tracking.destination import artifact_location, one_process_at_a_time
from mosim.tracking.events import ModelVersion, RunFinished, RunStarted
from mosim.tracking.limits import MAX_METRICS_PER_CALL, MAX_PARAMETERS_PER_CALL
from mosim.tracking.mlflow_settings import import_mlflow

RUN_KEY_TAG = "mosim.run_key"
"""The tag by which a run is found again; unique to an output folder and a run's key within it."""

_PARENT_TAG = "mlflow.parentRunId"

_FAILURE_TAG = "failure"

_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
"""Error codes that say that sending the same again is no use."""

Item = TypeVar("Item")


class MlflowSink:
    """One experiment of one tracking server. Any method may raise what MLflow raises where that cannot be reached."""

    def __init__(self, tracking_uri: str, experiment: str) -> None:
        import_mlflow()  # Here, since it takes seconds, which only the sender's thread should wait.
        from mlflow import MlflowClient

        with one_process_at_a_time(tracking_uri):
            self._client = MlflowClient(tracking_uri)
            self._experiment_id = self._find_or_create_experiment(experiment, artifact_location(tracking_uri))
        self._parameters: dict[str, dict[str, str]] = {}

    def start_run(self, event: RunStarted, run_key: str, run_id: str | None, parent_id: str | None) -> str:
        """Creates a run, or takes up the one that is already there.

        Args:
          event: the run's name and tags.
          run_key: the value of its `RUN_KEY_TAG`.
          run_id: MLflow's id of it, where that is known.
          parent_id: MLflow's id of the run above it.

        Returns:
          MLflow's id of the run.
        """
        run_id = run_id or self._find_run(run_key)
        if run_id is not None:
            self._client.update_run(run_id, status="RUNNING")
            self.set_tags(run_id, event.tags)
            return run_id
        tags = event.tags | {RUN_KEY_TAG: run_key} | ({_PARENT_TAG: parent_id} if parent_id else {})
        run = self._client.create_run(self._experiment_id, start_time=event.time, tags=tags, run_name=event.name)
        return run.info.run_id

    def is_run(self, run_id: str, run_key: str) -> bool:
        """Whether MLflow's run of an id is the one with a key."""
        return self._client.get_run(run_id).data.tags.get(RUN_KEY_TAG) == run_key

    def log_parameters(self, run_id: str, values: dict[str, str]) -> None:
        """Logs parameters. One that has another value already keeps that, since MLflow allows no change."""
        from mlflow.entities import Param

        if run_id not in self._parameters:
            self._parameters[run_id] = dict(self._client.get_run(run_id).data.params)
        known = self._parameters[run_id]
        for name, value in values.items():
            if known.get(name, value) != value:
                logger.warning("parameter %s stays %r in MLflow; its new value is %r.", name, known[name], value)
        fresh = [Param(name, value) for name, value in values.items() if name not in known]
        self._in_batches(
            run_id, fresh, MAX_PARAMETERS_PER_CALL, lambda batch: self._client.log_batch(run_id, params=batch)
        )
        known.update((param.key, param.value) for param in fresh)

    def log_metrics(self, run_id: str, points: Sequence[tuple[str, float, int, int]]) -> None:
        """Logs metrics, each as its name, value, time in milliseconds, and step."""
        from mlflow.entities import Metric

        metrics = [Metric(*point) for point in points]
        self._in_batches(
            run_id, metrics, MAX_METRICS_PER_CALL, lambda batch: self._client.log_batch(run_id, metrics=batch)
        )

    def set_tags(self, run_id: str, values: dict[str, str]) -> None:
        """Sets tags, in the place of those of the same name."""
        from mlflow.entities import RunTag

        tags = [RunTag(name, value) for name, value in values.items()]
        self._in_batches(
            run_id, tags, MAX_PARAMETERS_PER_CALL, lambda batch: self._client.log_batch(run_id, tags=batch)
        )

    def log_artifact(self, run_id: str, path: Path, artifact_path: str) -> None:
        """Copies a file or a folder to the run's artifacts, over what has its name there."""
        self._client.log_artifact(run_id, str(path), artifact_path or None)

    def register_model(self, run_id: str, path: Path, event: ModelVersion) -> None:
        """Copies a model folder to the run's artifacts and makes a version of it, unless the run has it already."""
        from mlflow.exceptions import MlflowException

        from mosim.tracking.model_registry import register

        try:
            register(self._client, run_id, path, event)
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            logger.warning("MLflow rejects model %s of run %s: %s", event.name, run_id, error.message)

    def finish_run(self, run_id: str, event: RunFinished) -> None:
        """Ends a run. Its failure tag is that of this end: a run that was resumed and ended well has none."""
        if event.failure:
            self.set_tags(run_id, {_FAILURE_TAG: event.failure})
        elif _FAILURE_TAG in self._client.get_run(run_id).data.tags:
            self._client.delete_tag(run_id, _FAILURE_TAG)
        self._client.set_terminated(run_id, event.status, event.time)

    def _find_or_create_experiment(self, name: str, location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name, location)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(name)  # Another process was first.
        if found is None:
            raise RuntimeError(f"experiment {name!r} neither exists nor can be created")
        return found.experiment_id

    def _find_run(self, run_key: str) -> str | None:
        found = self._client.search_runs([self._experiment_id], f"tags.`{RUN_KEY_TAG}` = '{run_key}'", max_results=1)
        return found[0].info.run_id if found else None

    def _in_batches(
        self, run_id: str, items: Sequence[Item], limit: int, send: Callable[[Sequence[Item]], object]
    ) -> None:
        for start in range(0, len(items), limit):
            self._send(run_id, items[start : start + limit], send)

    def _send(self, run_id: str, items: Sequence[Item], send: Callable[[Sequence[Item]], object]) -> None:
        """Sends a batch; where MLflow refuses it, finds by halving what in it is refused, and leaves that out."""
        from mlflow.exceptions import MlflowException

        try:
            send(items)
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            deleted = self._client.get_run(run_id).info.lifecycle_stage == "deleted"
            if deleted or len(items) == 1:
                logger.warning("MLflow rejects %s of run %s: %s", items[0], run_id, error.message)
                return
            for half in (items[: len(items) // 2], items[len(items) // 2 :]):
                self._send(run_id, half, send)


def is_unknown_run(error: Exception) -> bool:
    """Whether an error says that the store knows no run of that id: it is another store than it was."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"
