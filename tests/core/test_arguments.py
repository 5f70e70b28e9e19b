"""Arguments from Python are checked as flags are."""

from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypedDict

import mosim
from mosim.core.arguments import Count, Device, Index, Location, Seed, checked
from mosim.core.errors import MosimError


class Others(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid")  # pyright: ignore[reportGeneralTypeIssues]

    index: Index
    seed: Seed | None


@checked
def given(
    count: Count, path: Location = "here", device: Device = "cpu", **others: Unpack[Others]
) -> tuple[int, str | Path, str, Others]:
    return count, path, device, others


def test_what_is_allowed_comes_through_as_it_is() -> None:
    count: Any = np.int64(3)
    device: Any = torch.device("cpu")
    assert given(3, seed=None) == (3, "here", "cpu", {"seed": None})
    assert given(count, Path("there"), index=0)[:2] == (3, Path("there"))
    assert given(count=1, device=device)[2] == "cpu"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"count": 0}, "given: count is 0; it must be greater than or equal to 1."),
        ({"count": True}, "given: count is True; it must be a whole number."),
        ({"count": 2.0}, "given: count is 2.0; it must be a whole number."),
        ({"count": "2"}, "given: count is '2'; it must be a whole number."),
        ({"count": 1, "path": ""}, "given: path is ''; it must be a path."),
        ({"count": 1, "path": None}, "given: path is None; it must be a path."),
        (
            {"count": 1, "device": "gpu"},
            "given: device is 'gpu'; it must be a torch device that is available here: cpu",
        ),
        (
            {"count": 1, "device": "meta"},
            "given: device is 'meta'; it must be a torch device that is available here: cpu",
        ),
        ({"count": 1, "device": None}, "given: device is None; it must be a torch device that is available here: cpu"),
        (
            {"count": 1, "device": "cuda:99"},
            "given: device is 'cuda:99'; it must be a torch device that is available here: cpu",
        ),
        ({"count": 1, "index": -1}, "given: index is -1; it must be greater than or equal to 0."),
        ({"count": 1, "seed": 2**32}, "given: seed is 4294967296; it must be less than or equal to 4294967295."),
        ({"count": 1, "sed": 1}, "given: unknown argument 'sed'; allowed are: count, device, index, path, seed."),
        ({}, "given: count is missing."),
    ],
)
def test_what_is_not_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MosimError) as raised:
        given(**arguments)
    assert str(raised.value).startswith(sentence)


def test_an_argument_without_its_name_is_named() -> None:
    with pytest.raises(MosimError, match=r"^given: count is -2; it must be greater than or equal to 1\.$"):
        given(-2)


def test_what_is_wrong_within_the_call_is_told_as_it_is() -> None:
    class Record(BaseModel):
        size: int

    @checked
    def broken(count: Count) -> Record:
        return Record.model_validate({"size": "large"})

    with pytest.raises(ValidationError, match="size"):
        broken(1)


@pytest.mark.parametrize("load", [mosim.load, mosim.load_policy])
def test_loading_says_what_is_wrong_with_its_arguments(load: Any, tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="device is 'nope'; it must be a torch device that is available here: cpu"):
        load(tmp_path, device="nope")
    with pytest.raises(MosimError, match="path is None; it must be a path"):
        load(None)
    with pytest.raises(MosimError, match="unknown argument 'divice'; allowed are: device, path"):
        load(tmp_path, divice="cpu")
