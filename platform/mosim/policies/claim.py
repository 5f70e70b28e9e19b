"""Which training a folder holds."""

import hashlib
from pathlib import Path
from typing import Any

from mosim.dynamics import DynamicsModel, MujocoDynamics
from mosim.environments import TRUE_DYNAMICS
from mosim.errors import MismatchError, MosimError
from mosim.files import read_json, write_json

RECIPE_FILE = "recipe.json"


def claim(out: Path, identity: dict[str, Any], resume: bool) -> None:
    """Takes a folder for a training, or finds that it holds the same one."""
    path = out / RECIPE_FILE
    if not path.is_file():
        write_json(path, identity)
        return
    if not resume:
        raise MosimError(f"{out} holds a training already; resume it, or give another folder.")
    found = read_json(path)
    if odd := [
        f"{key} is {found.get(key)!r} there and {identity.get(key)!r} here"
        for key in sorted(found.keys() | identity.keys())
        if found.get(key) != identity.get(key)
    ]:
        raise MismatchError(f"the training in {out} is another one: {'; '.join(odd)}; give another folder.")


def fingerprint(dynamics: DynamicsModel) -> str:
    """What tells one simulator from another, wherever it lies."""
    if isinstance(dynamics, MujocoDynamics):
        return TRUE_DYNAMICS
    digest = hashlib.sha256()
    for name, tensor in sorted(dynamics.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
