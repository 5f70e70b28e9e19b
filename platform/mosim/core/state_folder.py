"""Nested plain data in a folder: arrays as safetensors, the rest as JSON, checksums beside both. Nothing is pickled."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from mosim.core.errors import DamagedFileError
from mosim.core.files import read_json, sha256, write_json

ARRAYS_FILE = "arrays.safetensors"
TREE_FILE = "tree.json"
CHECKSUMS_FILE = "checksums.json"


def write_tree(folder: Path, tree: Any) -> None:
    """Writes nested dicts, lists and tuples of arrays, tensors, numbers, strings, booleans and None into a folder.

    Raises:
      TypeError: something in `tree` is none of these; says where.
    """
    arrays: dict[str, np.ndarray] = {}
    write_json(folder / TREE_FILE, _encode(tree, "", arrays))
    save_file(arrays, folder / ARRAYS_FILE)
    write_checksums(folder, ARRAYS_FILE, TREE_FILE)


def read_tree(folder: Path) -> Any:
    """Reads what `write_tree` wrote; tensors come back as arrays, dictionaries with keys of their own types.

    Raises:
      DamagedFileError: a file is not what was written.
      MosimError: a file is missing.
    """
    verify_checksums(folder, ARRAYS_FILE, TREE_FILE)
    return _decode(read_json(folder / TREE_FILE), load_file(folder / ARRAYS_FILE))


def write_checksums(folder: Path, *names: str) -> None:
    """Writes down the SHA-256 of files in a folder."""
    write_json(folder / CHECKSUMS_FILE, {name: sha256(folder / name) for name in names})


def verify_checksums(folder: Path, *names: str) -> None:
    """Compares files in a folder with what `write_checksums` wrote down of them.

    Raises:
      DamagedFileError: a file is missing or is not what was written; names it.
      MosimError: there are no checksums.
    """
    written = read_json(folder / CHECKSUMS_FILE)
    for name in names:
        path = folder / name
        if not path.is_file():
            raise DamagedFileError(f"{path} is missing, so its folder is incomplete.")
        if not isinstance(written, dict) or written.get(name) != sha256(path):
            raise DamagedFileError(f"{path} is damaged: its checksum differs from the recorded one.")


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value)
        # Its shape too, since a contiguous array has at least one dimension.
        return {"array": name, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str | int)]:
            raise TypeError(f"{path or 'the tree'} has the key {odd[0]!r}, which is neither a string nor an integer.")
        return {"dict": [[key, _encode(item, f"{path}/{key}", arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(item, f"{path}/{index}", arrays) for index, item in enumerate(value)]}
    raise TypeError(f"{path or 'the tree'} is a {type(value).__name__}, which is not plain data.")


def _decode(node: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    if "array" in node:
        return arrays[node["array"]].reshape(node["shape"])
    if "dict" in node:
        return {key: _decode(item, arrays) for key, item in node["dict"]}
    if "list" in node:
        return [_decode(item, arrays) for item in node["list"]]
    if "tuple" in node:
        return tuple(_decode(item, arrays) for item in node["tuple"])
    return node["value"]
