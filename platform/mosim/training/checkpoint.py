"""Checkpoints: a folder of safetensors and JSON, so that loading one never runs code.

A training run keeps them as `checkpoints/step-00001234-stage-1` under its folder. Each is written aside and renamed, so
the last one is always whole; files carry checksums, so that damage is told and named.
"""

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from mosim.core.arguments import Device, Location, checked
from mosim.core.configuration import validate
from mosim.core.errors import DamagedFileError, MismatchError, MosimError
from mosim.core.files import atomic_folder, read_json, sha256, write_json
from mosim.models import AnyModelConfig, LearnedModel, ModelConfig, Statistics
from mosim.robots import SystemFacts

FORMAT = 1

_WEIGHTS, _TRAINING, _MANIFEST = "weights.safetensors", "training.safetensors", "checkpoint.json"
_VERIFIED = (_WEIGHTS, _TRAINING)
_STATISTICS = "statistics."

_ID_LENGTH = 12


class _OfModel(BaseModel):
    """What a manifest says of the model; its other entries are read one by one."""

    model: AnyModelConfig


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint's JSON says.

    Attributes:
      path: its folder.
      system: what `mosim.tasks.load_system` takes.
      facts: of the system that the simulator models.
      model: the simulator's shape.
      recipe: the whole recipe, as JSON.
      dataset_id: of the dataset it was trained on.
      cursor: where training stands, as JSON; `finished` when all stages are done.
      id: of the weights, the first characters of their checksum.
    """

    path: Path
    system: str
    facts: SystemFacts
    model: ModelConfig
    recipe: dict[str, Any]
    dataset_id: str
    cursor: dict[str, Any]
    id: str


def save_checkpoint(
    folder: Path,
    name: str,
    model: LearnedModel,
    training: dict[str, Tensor],
    *,
    system: str,
    recipe: dict[str, Any],
    dataset_id: str,
    cursor: dict[str, Any],
) -> Path:
    """Writes a checkpoint into `folder / name`, replacing one of that name, and returns its path.

    Args:
      folder: of the run's checkpoints.
      name: sorts after the names of earlier ones.
      model: the simulator.
      training: optimiser and random state, by name.
      system: see `Checkpoint`, as the others.
      recipe: as JSON.
      dataset_id: of the training data.
      cursor: as JSON.
    """
    path = folder / name
    shutil.rmtree(path, ignore_errors=True)
    with atomic_folder(path) as aside:
        statistics = {_STATISTICS + key: tensor for key, tensor in model.statistics.tensors().items()}
        save_file(_contiguous(model.state_dict() | statistics), aside / _WEIGHTS)
        save_file(_contiguous(training), aside / _TRAINING)
        write_json(
            aside / _MANIFEST,
            {
                "format": FORMAT,
                "system": system,
                "facts": model.facts.model_dump(mode="json"),
                "model": model.config.model_dump(mode="json"),
                "knowledge": model.config.knowledge,  # For readers; it follows from the model.
                "recipe": recipe,
                "dataset_id": dataset_id,
                "cursor": cursor,
                "versions": {package: version(package) for package in ("mosim", "torch", "mujoco")},
                "sha256": {file: sha256(aside / file) for file in _VERIFIED},
            },
        )
    return path


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that `path` names: a checkpoint, or the last one of a training run or of a whole `mosim run`.

    Raises:
      MosimError: there is none.
    """
    path = Path(path)
    if (path / _MANIFEST).is_file():
        return path
    for folder in (path / "checkpoints", path / "simulator" / "checkpoints"):
        if found := sorted(folder.glob("step-*")):
            return found[-1]
    raise MosimError(f"there is no checkpoint in {path}; give a folder that `mosim train` wrote.")


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads what a checkpoint says of itself, and verifies its files.

    Raises:
      MosimError: there is no checkpoint.
      DamagedFileError: a file is missing or is not what was written; names it.
    """
    path = find_checkpoint(path)
    manifest = read_json(path / _MANIFEST)
    try:
        if manifest["format"] != FORMAT:
            raise MosimError(
                f"{path} has checkpoint format {manifest['format']}; this version of mosim reads format {FORMAT}."
            )
        for file in _VERIFIED:
            if not (path / file).is_file():
                raise DamagedFileError(f"{path / file} is missing.")
            if sha256(path / file) != manifest["sha256"][file]:
                raise DamagedFileError(f"{path / file} is damaged: its checksum differs from the recorded one.")
        return Checkpoint(
            path=path,
            system=manifest["system"],
            facts=validate(manifest["facts"], SystemFacts, str(path / _MANIFEST)),
            model=validate(manifest, _OfModel, str(path / _MANIFEST)).model,
            recipe=manifest["recipe"],
            dataset_id=manifest["dataset_id"],
            cursor=manifest["cursor"],
            id=manifest["sha256"][_WEIGHTS][:_ID_LENGTH],
        )
    except (KeyError, TypeError) as error:
        raise DamagedFileError(f"{path / _MANIFEST} is damaged: {error} is missing or invalid.") from None


@checked
def load_simulator(path: Location, device: Device = "cpu") -> LearnedModel:
    """Loads a trained simulator, ready to predict; `mosim.load` is this.

    Args:
      path: a checkpoint, or the folder of a `mosim train` or a `mosim run`, whose last checkpoint is taken.
      device: a torch device.

    Raises:
      MosimError: there is no checkpoint, or no such device.
      DamagedFileError: a file is missing or is not what was written; names it.
    """
    checkpoint = read_checkpoint(path)
    return load_weights(checkpoint).to(device).eval().requires_grad_(False)


def load_weights(
    checkpoint: Checkpoint,
    config: ModelConfig | None = None,
    parts: Collection[str] | None = None,
    data: Statistics | None = None,
) -> LearnedModel:
    """A simulator with a checkpoint's weights, on the CPU, to train on.

    Args:
      checkpoint: from `read_checkpoint`.
      config: the shape of the simulator, where it is not the checkpoint's own.
      parts: those that take their weights from the checkpoint, such as `predictor`, with all of the part that each
        lies within; the others keep their first ones.
      data: of other data, which the simulator is to be trained on; its limits become as wide as theirs.

    Raises:
      MismatchError: a model of shape `config` has no place for the weights.
      DamagedFileError: the weights are not of the shape that the checkpoint says.
    """
    tensors = _load(checkpoint.path / _WEIGHTS)
    statistics = {
        key.removeprefix(_STATISTICS): tensors.pop(key) for key in list(tensors) if key.startswith(_STATISTICS)
    }
    try:
        scales = Statistics(**statistics)
        model = (config or checkpoint.model).build(checkpoint.facts, scales if data is None else scales.widened(data))
        if parts is not None:
            tensors = _of_parts(tensors, model, parts)
        model.load_state_dict(tensors)
    except (TypeError, RuntimeError) as error:
        sentence = " ".join(str(error).split())
        if config not in (None, checkpoint.model):
            raise MismatchError(
                f"{checkpoint.path} has the weights of a different model from the requested one: {sentence}"
            ) from None
        raise DamagedFileError(f"{checkpoint.path / _WEIGHTS} does not fit its own model config: {sentence}") from None
    return model


def load_training(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Optimiser and random state of a checkpoint, by name."""
    return _load(checkpoint.path / _TRAINING)


def keep_last(folder: Path, count: int, always: set[str]) -> None:
    """Deletes the checkpoints of a folder but the last `count` and those named in `always`."""
    for path in sorted(folder.glob("step-*"))[:-count]:
        if path.name not in always:
            shutil.rmtree(path)


def _of_parts(tensors: dict[str, Tensor], model: LearnedModel, parts: Collection[str]) -> dict[str, Tensor]:
    """A checkpoint's weights of some parts, and of no part at all, and a model's own of the others."""
    whole = {model.outermost(part) for part in parts if part in model.parts}
    own = model.state_dict()
    owners = {name: model.part_of(name) for name in tensors.keys() | own.keys()}
    taken = {name: weight for name, weight in tensors.items() if owners[name] in whole or not owners[name]}
    return {name: weight for name, weight in own.items() if owners[name] not in whole} | {
        name: weight for name, weight in taken.items() if owners[name] or name in own
    }


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}.") from None


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimiser as `optimizer.<parameter index>.<moment>`."""
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave into an optimiser over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", maxsplit=2)
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
