"""Progress and other people's words on one terminal."""

import io
import os
import pty
import sys
from pathlib import Path

import pytest
from rich.table import Table

from mosim.core.console import console, progress_bar, warn

PROGRAM = """
from pathlib import Path
from mosim.core.console import console, progress_bar, quiet
with quiet(Path("mosim.log"), verbose=True), progress_bar() as progress:
    bar = progress.add_task("work", total=2, status="")
    print("chatter")
    console.print("our words")
    progress.update(bar, completed=2)
"""


@pytest.mark.timeout(30)
def test_verbose_output_and_a_progress_display_share_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bytearray()

    def keep(descriptor: int) -> bytes:
        said.extend(chunk := os.read(descriptor, 4096))
        return chunk

    with (tmp_path / "copy").open("w") as copy:  # pty.spawn writes what it reads to standard output too.
        kept = os.dup(1)
        os.dup2(copy.fileno(), 1)
        try:
            status = pty.spawn([sys.executable, "-c", PROGRAM], keep)
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert os.waitstatus_to_exitcode(status) == 0, said.decode()
    assert said.count(b"chatter") == said.count(b"our words") == 1
    assert b"2/2" in said


@pytest.mark.parametrize("text", ["arm[left]", "q[/old]/sim", "sim [final]", ":smile: [bold]", "[/]", "左臂"])
def test_what_users_wrote_is_shown_as_it_is(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("MOSIM_PROGRESS", "1")
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    console.print(text)
    warn(text)
    console.print(table)
    with progress_bar() as progress:
        progress.add_task(text, status=text)
    assert shown.getvalue().count(text) >= 7
