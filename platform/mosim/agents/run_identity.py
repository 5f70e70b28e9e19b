"""What decides the results of a policy's training."""

import hashlib
import json
from pathlib import Path
from typing import Any

from mosim.agents.recipe import PolicyRecipe
from mosim.core.run_identity import read_identity
from mosim.data import Dataset
from mosim.envs import TRUE_DYNAMICS
from mosim.models import DynamicsModel, MujocoDynamics


def training_identity(
    recipe: PolicyRecipe,
    task_name: str,
    dynamics: DynamicsModel,
    starts: Dataset | None,
    until: int | None = None,
    after: Path | None = None,
) -> dict[str, Any]:
    """The identity of a training, for `mosim.core.run_identity`.

    Args:
      recipe: how it trains.
      task_name: such as `reacher-easy`.
      dynamics: the simulator, or MuJoCo itself.
      starts: the dataset in whose states episodes start; None where they start in the task's own.
      until: control steps at which it ends; None for the recipe's.
      after: folder of the training that it goes on from, if there is one.
    """
    identity = {"task": task_name, "dynamics": _fingerprint(dynamics), "recipe": recipe.model_dump(mode="json")}
    before = None if after is None else json.dumps(read_identity(after), sort_keys=True)
    more = {
        "data": starts and starts.id,
        "until": until,
        "after": before and hashlib.sha256(before.encode()).hexdigest()[:16],
    }
    return identity | {key: value for key, value in more.items() if value is not None}


def _fingerprint(dynamics: DynamicsModel) -> str:
    """What tells one simulator from another, wherever it lies."""
    if isinstance(dynamics, MujocoDynamics):
        return TRUE_DYNAMICS
    digest = hashlib.sha256()
    for name, tensor in sorted(dynamics.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
