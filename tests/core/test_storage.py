"""Files in folders are whole or absent, also where there is no room for them."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mosim.core.errors import MosimError
from mosim.core.storage import Folder

ROOM = 1 << 20
"""Bytes that a file may have."""


@pytest.fixture
def little_room() -> Iterator[None]:
    """The operating system lets this process write no longer files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_cannot_be_written_leaves_nothing_and_what_was_there_stands(tmp_path: Path, little_room: None) -> None:
    folder = Folder.at(tmp_path / "data")
    folder.write("kept", b"before")
    for name in ("kept", "new"):
        with pytest.raises(MosimError, match=f"data/{name} cannot be written: "):
            folder.write(name, bytes(4 * ROOM))
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["kept"]
    assert folder.read("kept") == b"before"
