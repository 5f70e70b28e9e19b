"""A trained simulator in MLflow's model format: rollouts from a pandas frame or from an array.

`save_model` puts a checkpoint into a model folder, and `TrackedRun.register_model` makes that a version in MLflow's
model registry. Whoever has the registry and mosim needs nothing else:

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    simulator = mlflow.pyfunc.load_model("models:/mosim-reacher-easy/1")
    states = simulator.predict(frame)

The frame has a row a physics step. Its columns are the state, named as `SystemFacts.state_names` (`qpos/shoulder`,
`qvel/shoulder`), which counts in the first row of an episode alone; then `action_0`, `action_1`, ...; and, where there
are several episodes, the integers of `episode`. A row's step is its place among those of its episode. The answer has
the same index and the same `episode`, and in each row the state after that row's action.

An array is the same without names: `(steps, nq + nv + nu)` or `(batch, steps, nq + nv + nu)`, answered by the states.

The folder holds the checkpoint as it is, beside MLflow's own YAML and JSON; saving and loading pickle nothing.
"""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mosim.core.errors import MosimError
from mosim.core.files import atomic_folder, sha256
from mosim.geometry import ConfigurationSpace
from mosim.models import DynamicsModel, LearnedModel
from mosim.robots import SystemFacts
from mosim.tracking import read_model_folder, write_model_folder
from mosim.training import load_simulator, read_checkpoint

EPISODE = "episode"
"""The column that tells episodes apart."""

_EXAMPLE_STEPS = 3


def action_names(facts: SystemFacts) -> tuple[str, ...]:
    """The column of each actuator: `action_0`, `action_1`, ..."""
    return tuple(f"action_{index}" for index in range(facts.nu))


class RolloutPredictor:
    """What MLflow calls to predict: any dynamics model, asked through frames and arrays.

    Attributes:
      columns: the state's and the actions' names, in the order in which an array has them.
    """

    def __init__(self, model: DynamicsModel) -> None:
        self.columns = model.facts.state_names + action_names(model.facts)
        self._model = model
        self._state_size = model.facts.state_size

    def predict(self, model_input: pd.DataFrame | np.ndarray, params: dict[str, Any] | None = None) -> Any:
        """Predicts open loop, all episodes as one batch.

        Args:
          model_input: a frame, or an array of shape `([batch,] steps, nq + nv + nu)`; the module's docstring says more.
          params: MLflow's; there are none.

        Returns:
          A frame, or an array of shape `([batch,] steps, nq + nv)`, float32. A diverged prediction is not finite.

        Raises:
          MosimError: columns, shape or values are not what they should be.
        """
        del params
        if isinstance(model_input, pd.DataFrame):
            return self._predict_frame(model_input)
        if isinstance(model_input, np.ndarray):
            return self._predict_array(model_input)
        raise MosimError(f"the input must be a pandas DataFrame or an array, not a {type(model_input).__name__}.")

    def _predict_frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        self._check_columns(frame)
        columns = list(self.columns)
        try:
            values = frame[columns].to_numpy(np.float32, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise MosimError(f"the frame's states and actions must be numbers: {error}.") from None
        episodes, labels = pd.factorize(frame.get(EPISODE, pd.Series(0, frame.index)))
        steps = pd.Series(episodes).groupby(episodes).cumcount().to_numpy()
        # Shorter episodes end in zeros, which are predicted too and left out of the answer.
        rows = np.zeros((len(labels), steps.max() + 1, len(columns)), np.float32)
        rows[episodes, steps] = values
        states = self._rollout(rows, np.asarray(labels))[episodes, steps]
        answer = pd.DataFrame(states, frame.index, columns[: self._state_size])
        if EPISODE in frame:
            answer.insert(0, EPISODE, frame[EPISODE])
        return answer

    def _predict_array(self, array: np.ndarray) -> np.ndarray:
        width = len(self.columns)
        if array.ndim not in (2, 3) or array.shape[-1] != width or not array.size:
            raise MosimError(
                f"the array has shape {array.shape}; allowed are (steps, {width}) and (batch, steps, {width}) with at "
                f"least one step, where the last dimension is {', '.join(self.columns)}."
            )
        try:
            rows = array.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise MosimError(f"the array must hold numbers: {error}.") from None
        batch = rows.reshape(-1, *rows.shape[-2:])
        return self._rollout(batch, np.arange(len(batch))).reshape(*rows.shape[:-1], self._state_size)

    def _check_columns(self, frame: pd.DataFrame) -> None:
        wrong = [f"{name!r} is missing" for name in self.columns if name not in frame]
        wrong += [f"{name!r} is unknown" for name in frame if name not in (*self.columns, EPISODE)]
        wrong += [f"{name!r} is given twice" for name in frame.columns[frame.columns.duplicated()]]
        if wrong:
            raise MosimError(
                f"the frame's columns are wrong: {', '.join(wrong)}; required are {', '.join(self.columns)}, and "
                f"{EPISODE!r} is optional."
            )
        if frame.empty:
            raise MosimError("the frame is empty; it must have a row for each physics step.")
        episodes = pd.Series(frame.get(EPISODE, 0))
        if episodes.hasnans or not pd.api.types.is_integer_dtype(episodes):
            raise MosimError(f"column {EPISODE!r} must hold an integer in every row; its type is {episodes.dtype}.")

    @torch.no_grad()
    def _rollout(self, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """`(batch, steps, nq + nv + nu)` to `(batch, steps, nq + nv)`; mistakes name an episode by its label."""
        odd = ~np.isfinite(rows)
        odd[:, 1:, : self._state_size] = False
        if odd.any():
            episode, step, column = np.argwhere(odd)[0]
            raise MosimError(
                f"{self.columns[column]!r} is not finite in step {step} of episode {labels[episode]}; every action and "
                "the first state of an episode must be finite float32 numbers."
            )
        start, actions = np.split(rows, [self._state_size], axis=-1)
        return self._model.rollout(torch.from_numpy(start[:, 0]), torch.from_numpy(actions)).numpy()


def save_model(checkpoint: str | Path, folder: Path) -> Path:
    """Writes a checkpoint as a model folder of MLflow's, whole or not at all.

    The folder's `model_uuid` is made from the checkpoint's content, so that the same checkpoint saved anew is the same
    model to `TrackedRun.register_model`.

    Args:
      checkpoint: as `mosim.load` takes it.
      folder: where to; one that holds this very model already is left as it is.

    Returns:
      `folder`.

    Raises:
      MosimError: there is no checkpoint, or the folder holds something else.
      DamagedFileError: the checkpoint is damaged.
    """
    found = read_checkpoint(checkpoint)
    identity = _identity(found.path)
    if folder.exists():
        if read_model_folder(folder).model_uuid == identity:
            return folder
        raise MosimError(f"{folder} already holds another model; give each model its own folder.")
    simulator = load_simulator(found.path)
    with atomic_folder(folder) as aside:
        write_model_folder(
            aside,
            loader=__name__,
            data=found.path,
            model_uuid=identity,
            output=found.facts.state_names,
            optional_output=EPISODE,
            example=_example(simulator),
            requirements=[f"mosim=={version('mosim')}"],
            metadata={
                "system": found.facts.name,
                "task": found.system,
                "dataset_id": found.dataset_id,
                "knowledge": found.model.knowledge,
            },
        )
    return folder


def _load_pyfunc(data_path: str) -> RolloutPredictor:
    """Loads a model folder's checkpoint; MLflow calls this by its name."""
    return RolloutPredictor(load_simulator(data_path))


def _identity(checkpoint: Path) -> str:
    files = sorted(checkpoint.glob("[!.]*"))
    content = "".join(f"{file.name} {sha256(file)}\n" for file in files)
    return hashlib.sha256(content.encode()).hexdigest()[:32]  # As many digits as MLflow's own have.


def _example(simulator: LearnedModel) -> pd.DataFrame:
    """An episode that begins at rest in the mean position of the training data, without any action."""
    facts = simulator.facts
    qpos = ConfigurationSpace(facts.joints).normalise(simulator.statistics.qpos_mean)
    row = np.concatenate([qpos.numpy(), np.zeros(facts.nv + facts.nu, np.float32)])
    frame = pd.DataFrame([row] * _EXAMPLE_STEPS, columns=[*facts.state_names, *action_names(facts)])
    frame.insert(0, EPISODE, 0)
    return frame
