"""The journal: everything the runs of an output folder say, on disk before anyone else hears of it."""

import uuid
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from mosim.core.console import logger, warn
from mosim.core.files import require_writable
from mosim.tracking.events import EVENT, Event, JournalStarted, Metrics

_FOLDER = "tracking"

_CHUNK_BYTES = 1 << 19
"""How much of a journal is read, and sent, at a time: about 5000 events."""


def tracking_folder(folder: Path) -> Path:
    """Where an output folder keeps its journal and how far it was sent."""
    return folder / _FOLDER


def journal_path(folder: Path) -> Path:
    """The journal of an output folder."""
    return tracking_folder(folder) / "journal.jsonl"


class Chunk(NamedTuple):
    """A piece of a journal.

    Attributes:
      events: those of its lines that can be read.
      lines: how many lines it has.
      end: the offset in bytes at which the next piece begins.
    """

    events: list[Event]
    lines: int
    end: int


def read_chunk(folder: Path, offset: int) -> Chunk:
    """Reads the whole lines from `offset` on, up to half a megabyte of them; none at the end of the journal."""
    path = journal_path(folder)
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(_CHUNK_BYTES)
        if len(block) == _CHUNK_BYTES:
            block += file.readline()
    block = block[: block.rfind(b"\n") + 1]
    events = []
    lines = block.split(b"\n")[:-1]
    for line in lines:
        try:
            events.append(EVENT.validate_json(line))
        except ValidationError:
            # Named and left out: one damaged line must not keep all after it from being sent.
            logger.warning("%s has a damaged line, which is not sent: %r", path, line[:80])
    return Chunk(events, len(lines), offset + len(block))


def journal_id(folder: Path) -> str | None:
    """The id of an output folder's journal; None where its first line is damaged."""
    with journal_path(folder).open("rb") as file:
        line = file.readline()
    try:
        event = EVENT.validate_json(line)
    except ValidationError:
        return None
    return event.id if isinstance(event, JournalStarted) else None


def unsent_events(folder: Path, offset: int) -> int:
    """How many whole lines follow `offset`."""
    with journal_path(folder).open("rb") as file:
        file.seek(offset)
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_CHUNK_BYTES), b""))


class Journal:
    """The writing end of a journal.

    Attributes:
      id: tells the runs of this journal from those of every other.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a folder's journal to go on with it, or begins one. The caller holds the folder's lock.

        Raises:
          MosimError: the journal is no regular file.
        """
        path = require_writable(journal_path(folder))
        self._points: set[int] = set()
        identity = None
        if path.exists():
            _drop_torn_tail(path)
            identity = self._recall(folder)
        self._file = path.open("ab")
        self.id = identity or uuid.uuid4().hex
        if identity is None:
            self.append(JournalStarted(id=self.id))

    def append(self, event: Event) -> None:
        """Writes an event; it survives the death of this process from here on."""
        self._file.write(event.model_dump_json().encode() + b"\n")
        self._file.flush()

    def knows(self, run: str, name: str, step: int, value: float) -> bool:
        """Whether an earlier process said this very point: one that a resumed run repeats on its way forward."""
        return _point(run, name, step, value) in self._points

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _recall(self, folder: Path) -> str | None:
        identity, offset = None, 0
        while (chunk := read_chunk(folder, offset)).lines:
            offset = chunk.end
            for event in chunk.events:
                if isinstance(event, JournalStarted):
                    identity = identity or event.id
                elif isinstance(event, Metrics):
                    points = (_point(event.run, name, event.step, value) for name, value in event.values.items())
                    self._points.update(points)
        return identity


def _point(run: str, name: str, step: int, value: float) -> int:
    return hash((run, name, step, repr(value)))  # A hash, since a long training says millions; repr, since nan != nan.


def _drop_torn_tail(path: Path) -> None:
    with path.open("rb+") as file:
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
        if whole == path.stat().st_size:
            return
        file.truncate(whole)
    warn(
        f"the last event in {path} was cut off when the process that wrote it died; this event is dropped, all events "
        "before it are kept."
    )
