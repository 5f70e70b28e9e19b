"""Model folders of MLflow's: what such a folder says of itself."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mosim.configuration import read_yaml_model

_DESCRIPTION = "MLmodel"


class ModelFolder(BaseModel):
    """What matters here of a model folder's `MLmodel` file.

    Attributes:
      model_uuid: tells the model from every other, wherever it is copied.
      metadata: what its maker says of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_uuid: str
    metadata: dict[str, Any] = {}


def read_model_folder(path: Path) -> ModelFolder:
    """Reads a model folder's description.

    Raises:
      MosimError: it is no model folder, or its description is damaged.
    """
    return read_yaml_model(path / _DESCRIPTION, ModelFolder)


def holds_model(path: Path, model_uuid: str) -> bool:
    """Whether a folder is there and holds that very model."""
    return (path / _DESCRIPTION).is_file() and read_model_folder(path).model_uuid == model_uuid
