"""MLflow's model registry: one version for each model of a run, however often it is said."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mosim.tracking.events import ModelVersion

MODEL_TAG = "mosim.model_uuid"
"""The tag by which a run's version is found again."""

_ARTIFACTS = "models"
"""The folder among a run's artifacts that holds the files of its versions, each in a folder of its own."""


def register(client: MlflowClient, run_id: str, path: Path, event: ModelVersion) -> None:
    """Makes a version of a model folder, or sets the tags of the one that the run already has.

    Args:
      client: of the registry, and of the tracking server that keeps the files.
      run_id: MLflow's id of the run that made the model.
      path: the model folder.
      event: what was said of it.
    """
    model = f"name = '{event.name}' and run_id = '{run_id}' and tags.`{MODEL_TAG}` = '{event.model_uuid}'"
    found = client.search_model_versions(model, max_results=1)
    if not found:
        _create(client, run_id, path, event)
        return
    version = found[0]
    for tag, value in event.tags.items():
        if version.tags.get(tag) != value:
            client.set_model_version_tag(event.name, str(version.version), tag, value)


def _create(client: MlflowClient, run_id: str, path: Path, event: ModelVersion) -> None:
    artifact_path = f"{_ARTIFACTS}/{event.model_uuid}"
    # The files first, so that no version ever points to files that are not there.
    client.log_artifacts(run_id, str(path), artifact_path)
    try:
        client.create_registered_model(event.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(
        event.name,
        f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}",
        run_id,
        tags=event.tags | {MODEL_TAG: event.model_uuid},
        description=event.description or None,
        await_creation_for=0,
    )
