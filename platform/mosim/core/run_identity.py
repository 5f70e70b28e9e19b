"""Which run an output folder holds, so that no other is mixed with it.

A run's identity is what decides its results, as JSON; a folder keeps it in `run.json`.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mosim.core.errors import DamagedFileError, MismatchError, MosimError
from mosim.core.storage import Folder

RUN_FILE = "run.json"

Identity = Mapping[str, Any]
"""JSON: names, numbers, lists and mappings of them."""


def read_identity(location: str | Path) -> dict[str, Any] | None:
    """The identity of the run in a folder, by its path or URI; None where it holds no run.

    Raises:
      DamagedFileError: the file is not what was written.
    """
    folder = Folder.at(location)
    if not folder.holds(RUN_FILE):
        return None
    try:
        identity = json.loads(folder.read(RUN_FILE))
    except ValueError as error:
        raise DamagedFileError(f"{folder.where(RUN_FILE)} is damaged: it is not JSON ({error}).") from None
    if not isinstance(identity, dict):
        raise DamagedFileError(f"{folder.where(RUN_FILE)} is damaged: it does not contain keys and values.")
    return identity


def keep_identity(location: str | Path, identity: Identity) -> None:
    """Writes down the identity of the run in a folder."""
    Folder.at(location).write(RUN_FILE, (json.dumps(identity, indent=2) + "\n").encode())


def check_identity(location: str | Path, identity: Identity, *, resume: bool, unknown: Collection[str] = ()) -> bool:
    """Checks that a folder has room for a run: it holds none, or, where the run is to be resumed, this very one.

    Args:
      location: the folder's path or URI.
      identity: of the run.
      resume: whether the run may be there already.
      unknown: keys of the identity that are not known yet, and so not compared.

    Returns:
      Whether the run is there.

    Raises:
      MosimError: the folder holds a run, and `resume` is false.
      MismatchError: it holds another run; names each key that differs, with both values.
    """
    found = read_identity(location)
    if found is None:
        return False
    if not resume:
        raise MosimError(f"{location} holds a run already; resume it with --resume, or give another folder.")
    before, now = ({key: each[key] for key in each if key not in unknown} for each in (found, identity))
    if odd := differences(before, now):
        raise MismatchError(f"{location} holds another run: {'; '.join(odd)}. Give another folder.")
    return True


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What tells two identities apart: a phrase for each innermost value that differs, by its dotted name.

    Lists that differ in length are told as a whole.
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys: Collection[Any] = sorted(before.keys() | now.keys())
        pairs = [(before.get(key), now.get(key)) for key in keys]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        keys, pairs = range(len(now)), list(zip(before, now, strict=True))
    else:
        return [] if before == now else [f"{name} was {json.dumps(before)} and is {json.dumps(now)}"]
    return [
        phrase
        for key, (old, new) in zip(keys, pairs, strict=True)
        for phrase in differences(old, new, f"{name}.{key}" if name else str(key))
    ]
