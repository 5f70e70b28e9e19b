"""What decides the results of a policy's training."""

import hashlib
from typing import Any

from mosim.agents.recipe import PolicyRecipe
from mosim.data import Dataset
from mosim.envs import TRUE_DYNAMICS
from mosim.models import DynamicsModel, MujocoDynamics


def training_identity(
    recipe: PolicyRecipe, task_name: str, dynamics: DynamicsModel, starts: Dataset | None
) -> dict[str, Any]:
    """The identity of a training, for `mosim.core.run_identity`.

    Args:
      recipe: how it trains.
      task_name: such as `reacher-easy`.
      dynamics: the simulator, or MuJoCo itself.
      starts: the dataset in whose states episodes start; None where they start in the task's own.
    """
    identity = {"task": task_name, "dynamics": _fingerprint(dynamics), "recipe": recipe.model_dump(mode="json")}
    return identity if starts is None else {**identity, "data": starts.id}


def _fingerprint(dynamics: DynamicsModel) -> str:
    """What tells one simulator from another, wherever it lies."""
    if isinstance(dynamics, MujocoDynamics):
        return TRUE_DYNAMICS
    digest = hashlib.sha256()
    for name, tensor in sorted(dynamics.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
