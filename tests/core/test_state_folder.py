from pathlib import Path

import numpy as np
import pytest
import torch

from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.state_folder import read_tree, write_tree

TREE = {
    "weights": {"a/b.0": torch.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 4))},
    "optimiser": {0: {"step": np.array(7.0, np.float32)}, 1: {"step": np.float64(8.0)}},
    "betas": (0.9, 0.999),
    "list": [None, True, -3, "text", float("inf")],
}


def test_a_tree_comes_back_with_types_and_shapes(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    read = read_tree(tmp_path)
    np.testing.assert_array_equal(read["weights"]["a/b.0"], TREE["weights"]["a/b.0"].numpy())
    assert read["weights"]["a/b.0"].dtype == np.float32
    assert read["weights"]["empty"].shape == (0, 4)
    assert read["optimiser"][0]["step"].shape == ()
    assert read["optimiser"][1] == {"step": 8.0}
    assert read["betas"] == (0.9, 0.999)
    assert read["list"] == TREE["list"]
    assert list(read) == list(TREE)


def test_what_is_not_plain_data_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="/a/0 is a set"):
        write_tree(tmp_path, {"a": [{1}]})
    with pytest.raises(TypeError, match="/a has the key"):
        write_tree(tmp_path, {"a": {(1, 2): 3}})


@pytest.mark.parametrize("name", ["arrays.safetensors", "tree.json"])
def test_a_flipped_byte_is_named(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path, TREE)
    content = bytearray((tmp_path / name).read_bytes())
    content[-2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"{name} is damaged"):
        read_tree(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DamagedFileError, match=f"{name} is missing"):
        read_tree(tmp_path)


def test_a_folder_without_checksums_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="does not exist"):
        read_tree(tmp_path)
