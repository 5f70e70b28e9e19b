"""Predictions that were made without mosim: what they begin with, as a file, and how far they are off.

Both are `.npz` files without pickled objects. For each horizon H that starts are drawn for (see `share_starts`), the
first has, in float64:

known_H    (starts, 16, state)      the last known states, of which the last is the start; NaN before an episode
between_H  (starts, 15, nu)         the actions between them; NaN likewise
actions_H  (starts, H, nu)          the actions after the start

and `dataset`, `system`, `timestep`, `state_names`, `control_lower`, `control_upper`. The second has

states_H   (starts, H, state)       the predicted states after each of those actions

and `dataset`, as in the first.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mosim.core.errors import MismatchError, MosimError
from mosim.core.files import atomic_path
from mosim.data import Dataset, Trajectories
from mosim.evaluation.horizon import RolloutErrors, draw_starts, share_starts, squared_errors

KNOWN = 16
"""States before and at a start that are given."""


def write_starts(path: Path, dataset: Dataset, horizons: Sequence[int], starts: int, seed: int) -> dict[int, int]:
    """Writes what predictions begin with.

    Args:
      path: of the `.npz` file.
      dataset: held-out episodes.
      horizons: in physics steps.
      starts: how many are drawn for each; all of them where there are fewer.
      seed: of the draw.

    Returns:
      How many starts there are, by the horizon that they are drawn for.

    Raises:
      MosimError: no episode is as long as a horizon.
    """
    trajectories, facts = dataset.load(), dataset.facts
    content: dict[str, Any] = {
        "dataset": dataset.id,
        "system": facts.name,
        "timestep": facts.timestep,
        "state_names": np.array(facts.state_names),
        "control_lower": np.array(facts.control_lower),
        "control_upper": np.array(facts.control_upper),
    }
    drawn = _drawn(trajectories, horizons, starts, seed)
    for horizon, rows in drawn.items():
        places = rows[:, None] + np.arange(1 - KNOWN, 1)
        before = np.arange(1 - KNOWN, 1) < -trajectories.steps_before(rows)[:, None]
        known = trajectories.states[places.clip(min=0)].astype(np.float64)
        known[before] = np.nan
        between = trajectories.actions[places[:, :-1].clip(min=0)].astype(np.float64)
        between[before[:, :-1]] = np.nan
        content |= {f"known_{horizon}": known, f"between_{horizon}": between}
        content[f"actions_{horizon}"] = trajectories.actions[rows[:, None] + np.arange(horizon)].astype(np.float64)
    with atomic_path(path) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **content)
    return {horizon: len(rows) for horizon, rows in drawn.items()}


def measure_predictions(
    path: Path, dataset: Dataset, horizons: Sequence[int], starts: int, seed: int
) -> dict[int, RolloutErrors]:
    """Measures predictions from a file; nothing in it is unpickled.

    Args:
      path: of the `.npz` file.
      dataset: that the starts were drawn from.
      horizons: as for `write_starts`.
      starts: likewise.
      seed: likewise.

    Returns:
      Errors by horizon; a prediction that is not finite has an infinite one.

    Raises:
      MosimError: the file is no `.npz` file, or an array is missing or has another shape; names the array, its shape
        and what is expected.
      MismatchError: the predictions are for another dataset.
    """
    trajectories = dataset.load()
    drawn = _drawn(trajectories, horizons, starts, seed)
    content = _read(path, [f"states_{horizon}" for horizon in drawn])
    if (told := str(content["dataset"])) != dataset.id:
        raise MismatchError(f"{path} has predictions for the dataset {told}, and this one is {dataset.id}.")
    measured: dict[int, RolloutErrors] = {}
    for group in share_starts(horizons, int(trajectories.lengths.max())):
        horizon = group[-1]
        rows, predicted = drawn[horizon], content[f"states_{horizon}"]
        expected = (len(rows), horizon, trajectories.states.shape[-1])
        if predicted.shape != expected or not np.issubdtype(predicted.dtype, np.floating):
            raise MosimError(
                f"{path}: array states_{horizon} has shape {predicted.shape} and type {predicted.dtype}; it must have "
                f"shape {expected} (starts, physics steps, state) and be floating point."
            )
        truth = torch.from_numpy(trajectories.states[rows[:, None] + np.arange(1, horizon + 1)]).double()
        errors = squared_errors(torch.from_numpy(predicted.astype(np.float64)), truth)
        by_start = errors[..., trajectories.facts.layout.motion].mean(-1)
        measured |= dict.fromkeys(group, RolloutErrors(by_start.numpy(), errors.mean(0).numpy()))
    return measured


def _drawn(trajectories: Trajectories, horizons: Sequence[int], starts: int, seed: int) -> dict[int, np.ndarray]:
    """The rows of starts, by the longest horizon that they are drawn for."""
    groups = share_starts(horizons, int(trajectories.lengths.max()))
    return {group[-1]: draw_starts(trajectories, group[-1], starts, seed) for group in groups}


def _read(path: Path, wanted: Sequence[str]) -> Mapping[str, np.ndarray]:
    if not path.is_file():
        raise MosimError(f"there is no file at {path}.")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in ("dataset", *wanted) if name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise MosimError(f"{path} is not an .npz file of plain arrays: {error}.") from None
    if missing := [name for name in ("dataset", *wanted) if name not in content]:
        raise MosimError(f"{path} lacks the array {missing[0]}; it must have {', '.join(('dataset', *wanted))}.")
    return content
