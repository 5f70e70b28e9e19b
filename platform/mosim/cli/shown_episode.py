"""The true episode that `mosim show` holds a prediction against."""

import numpy as np

from mosim.core.console import warn
from mosim.core.errors import MosimError
from mosim.data import (
    HELD_OUT_SEED_OFFSET,
    Dataset,
    Episode,
    PoissonBehaviour,
    PolicyBehaviour,
    collect_episode,
)
from mosim.evaluation import draw_starts
from mosim.experiments.pipeline import load_any_policy
from mosim.robots import System, require_fit


def shown_episode(
    system: System,
    steps: int,
    *,
    seed: int,
    dataset: Dataset | None,
    trained_on: str,
    policy: str | None,
    at_most: bool,
) -> Episode:
    """An episode to show.

    Args:
      system: the true system.
      steps: physics steps.
      seed: which of the standard held-out episodes, or which start in the dataset.
      dataset: where the episode is from; None simulates it.
      trained_on: the id of the dataset that the simulator has seen, of which the user is warned.
      policy: who acts, where it is not random; needs a task.
      at_most: whether fewer steps will do where the dataset's episodes are shorter.

    Raises:
      MosimError: a policy cannot act in a dataset, no episode is that long, or the policy does not load.
      MismatchError: the dataset is of another system.
    """
    if dataset is not None:
        if policy is not None:
            raise MosimError("--policy and --data cannot be combined: a dataset has actions of its own.")
        require_fit(dataset.facts, system.facts, f"the dataset at {dataset.uri}")
        if dataset.id == trained_on:
            warn(f"the simulator was trained on {dataset.uri}, so its error there does not show how it generalises.")
        return _stored(dataset, steps, seed, at_most)
    if policy is None:
        return collect_episode(system, PoissonBehaviour(), steps, HELD_OUT_SEED_OFFSET, seed)
    behaviour = PolicyBehaviour(policy=policy)
    return collect_episode(system, behaviour, steps, HELD_OUT_SEED_OFFSET, seed, load_any_policy(policy))


def _stored(dataset: Dataset, steps: int, seed: int, at_most: bool) -> Episode:
    trajectories = dataset.load()
    if at_most:
        steps = min(steps, int(trajectories.lengths.max()))
    [row] = draw_starts(trajectories, steps, 1, seed)
    index = int(np.searchsorted(trajectories.offsets, row, side="right")) - 1
    states, actions = trajectories.states[row : row + steps + 1], trajectories.actions[row : row + steps]
    return Episode(index, states, actions, trajectories.contexts[index])
