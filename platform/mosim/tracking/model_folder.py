"""Model folders of MLflow's: writing one, and what it says of itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mosim.core.configuration import read_yaml_model
from mosim.tracking.mlflow_settings import import_mlflow

if TYPE_CHECKING:
    import pandas as pd

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


def write_model_folder(
    folder: Path,
    *,
    loader: str,
    data: Path,
    model_uuid: str,
    output: Sequence[str],
    optional_output: str,
    example: "pd.DataFrame",
    requirements: list[str],
    metadata: dict[str, Any],
) -> None:
    """Writes a model folder that MLflow's `pyfunc.load_model` reads.

    Args:
      folder: where to; must not be there.
      loader: the module whose `_load_pyfunc` loads `data`.
      data: a file or folder, which is copied.
      model_uuid: tells the model from every other.
      output: the columns of floats that it predicts.
      optional_output: a column of integers that may stand before them.
      example: an input.
      requirements: what pip installs to load it.
      metadata: what the model's maker says of it.
    """
    import_mlflow()  # Here, since it takes seconds, and importing this module should not.
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    columns: list[Any] = [ColSpec("long", optional_output, required=False)]
    columns += [ColSpec("float", name) for name in output]
    pyfunc.save_model(
        folder,
        loader_module=loader,
        data_path=str(data),
        mlflow_model=Model(model_uuid=model_uuid),
        # Of the output alone: a signature of columns refuses arrays, and one of arrays drops a frame's names.
        signature=ModelSignature(outputs=Schema(columns)),
        input_example=example,
        pip_requirements=requirements,
        metadata=metadata,
    )


def holds_model(path: Path, model_uuid: str) -> bool:
    """Whether a folder is there and holds that very model."""
    return (path / _DESCRIPTION).is_file() and read_model_folder(path).model_uuid == model_uuid
