"""Replays a journal to MLflow, and remembers how far it came."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mosim.core.console import logger, warn
from mosim.core.errors import DamagedFileError
from mosim.core.files import read_json, write_json
from mosim.tracking.destination import without_password
from mosim.tracking.events import (
    Artifact,
    JournalStarted,
    Metrics,
    ModelVersion,
    Parameters,
    RunFinished,
    RunStarted,
    Tags,
    Upload,
)
from mosim.tracking.journal import Chunk, journal_id, read_chunk, tracking_folder, unsent_events
from mosim.tracking.mlflow_sink import MlflowSink, is_unknown_run
from mosim.tracking.model_folder import holds_model
from mosim.tracking.uploads import path_to_send


class Destination(BaseModel):
    """Where a journal is sent. The tracking URI is kept without its password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str
    experiment: str


class Cursor(BaseModel):
    """How far a journal was sent to one destination.

    Attributes:
      destination: that destination.
      offset: bytes of the journal that were sent.
      journal: the journal's id, once its first line was read.
      runs: MLflow's run id of each run's key.
      uploads: those that the journal names before `offset` and that still wait; they hold up nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: Destination
    offset: int = 0
    journal: str = ""
    runs: dict[str, str] = {}
    uploads: tuple[Upload, ...] = ()


Record = TypeVar("Record", bound=BaseModel)


def keep_destination(folder: Path, tracking_uri: str, experiment: str) -> None:
    """Remembers where an output folder's journal is sent."""
    destination = Destination(tracking_uri=without_password(tracking_uri), experiment=experiment)
    write_json(_destination_path(folder), destination.model_dump())


def kept_destination(folder: Path) -> Destination:
    """Where an output folder's journal is sent.

    Raises:
      MosimError: that was not kept.
      DamagedFileError: what was kept cannot be read.
    """
    return _read(Destination, _destination_path(folder))


def _destination_path(folder: Path) -> Path:
    return tracking_folder(folder) / "destination.json"


def _read(kind: type[Record], path: Path) -> Record:
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        raise DamagedFileError(f"{path} is damaged: {error.errors()[0]['msg']}.") from None


class _ForeignRunError(Exception):
    """A cursor names a run that the journal has not begun."""


class Replay:
    """Sends a journal, piece by piece. Used by one thread at a time, under the folder's lock."""

    def __init__(self, folder: Path, tracking_uri: str, experiment: str) -> None:
        """Goes on where the last replay to the same destination stopped; a new destination gets all from the start."""
        self._folder = folder
        self._tracking_uri = tracking_uri
        self._destination = Destination(tracking_uri=without_password(tracking_uri), experiment=experiment)
        name = hashlib.sha256(self._destination.model_dump_json().encode()).hexdigest()[:8]
        self._cursor_path = tracking_folder(folder) / f"cursor-{name}.json"
        self._cursor = self._kept_cursor() or Cursor(destination=self._destination)
        self._sink: MlflowSink | None = None
        self._checked: set[str] = set()
        self._rebuilt = False

    def unsent(self) -> int:
        """How many events wait."""
        return unsent_events(self._folder, self._cursor.offset) + len(self._cursor.uploads)

    def step(self) -> int:
        """Sends the next piece of the journal, and the uploads that wait.

        Returns:
          How many events were dealt with; 0 when none is left.

        Raises:
          Exception: whatever MLflow raises; what was not sent stays to be sent by the next step.
        """
        try:
            chunk = read_chunk(self._folder, self._cursor.offset)
            if not chunk.lines and not self._cursor.uploads:
                return 0
            if self._sink is None:
                self._sink = MlflowSink(self._tracking_uri, self._destination.experiment)
            waiting = self._send_chunk(self._sink, chunk) if chunk.lines else 0
            return self._send_uploads(self._sink) + chunk.lines - waiting
        except Exception as error:
            if self._rebuilt or not (isinstance(error, _ForeignRunError) or is_unknown_run(error)):
                raise
            # Someone removed the store, or the run. The journal has it all, so it is sent again, but only once.
            self._rebuilt = True
            logger.warning("%s has lost a run: %s; sending all events again.", self._destination.tracking_uri, error)
            self._sink = None
            self._move_to(Cursor(destination=self._destination))
            return self.step()

    def _kept_cursor(self) -> Cursor | None:
        if not self._cursor_path.exists():
            return None
        try:
            cursor = _read(Cursor, self._cursor_path)
        except DamagedFileError as error:
            warn(f"{error} The whole journal is sent again; nothing will be duplicated.")
            return None
        # Another id: the journal was removed, and begun anew.
        return cursor if cursor.journal in ("", journal_id(self._folder)) else None

    def _move_to(self, cursor: Cursor) -> None:
        self._cursor = cursor
        write_json(self._cursor_path, cursor.model_dump(mode="json"))

    def _send_chunk(self, sink: MlflowSink, chunk: Chunk) -> int:
        """Sends all but the uploads, which wait for `_send_uploads`; returns how many do."""
        self._check_runs(sink, {event.run for event in chunk.events if not isinstance(event, JournalStarted)})
        journal, runs = self._cursor.journal, dict(self._cursor.runs)
        parameters, tags = defaultdict[str, dict[str, str]](dict), defaultdict[str, dict[str, str]](dict)
        points = defaultdict[str, list[tuple[str, float, int, int]]](list)
        ends: dict[str, RunFinished] = {}
        waiting = {_destination_of(upload): upload for upload in self._cursor.uploads}
        for event in chunk.events:
            match event:
                case JournalStarted():
                    journal = event.id
                case RunStarted():
                    ends.pop(event.run, None)
                    parent_id = runs.get(event.parent) if event.parent else None
                    runs[event.run] = sink.start_run(event, f"{journal}/{event.run}", runs.get(event.run), parent_id)
                    self._checked.add(runs[event.run])
                case _ if event.run not in runs:
                    logger.warning(
                        "an event of run %s is not sent, since the start event of the run is damaged: %r",
                        event.run,
                        event,
                    )
                case Parameters():
                    # The first value wins, as in MLflow.
                    parameters[event.run] = event.values | parameters[event.run]
                case Tags():
                    tags[event.run] |= event.values
                case Metrics():
                    points[event.run] += ((name, value, event.time, event.step) for name, value in event.values.items())
                case Artifact() | ModelVersion():
                    waiting[_destination_of(event)] = event
                case RunFinished():
                    ends[event.run] = event
        for run, values in parameters.items():
            sink.log_parameters(runs[run], values)
        for run, values in tags.items():
            sink.set_tags(runs[run], values)
        for run, values in points.items():
            sink.log_metrics(runs[run], values)
        for run, event in ends.items():
            sink.finish_run(runs[run], event)
        done = {"offset": chunk.end, "journal": journal, "runs": runs, "uploads": tuple(waiting.values())}
        self._move_to(self._cursor.model_copy(update=done))
        return sum(isinstance(event, Upload) for event in chunk.events)

    def _send_uploads(self, sink: MlflowSink) -> int:
        """Tries every upload that waits, and returns how many are done; raises the first error where any failed."""
        self._check_runs(sink, {upload.run for upload in self._cursor.uploads})
        failures: list[Exception] = []
        done = 0
        for upload in self._cursor.uploads:
            try:
                self._send_upload(sink, upload)
            except Exception as error:
                failures.append(error)
                continue
            done += 1
            waiting = tuple(other for other in self._cursor.uploads if other is not upload)
            self._move_to(self._cursor.model_copy(update={"uploads": waiting}))
        if failures:
            raise failures[0]
        return done

    def _check_runs(self, sink: MlflowSink, keys: Iterable[str]) -> None:
        """Whether the cursor, which may come from somebody else as the folder does, names the journal's own runs."""
        for key in keys:
            run_id = self._cursor.runs.get(key)
            if run_id is None or run_id in self._checked:
                continue
            if not sink.is_run(run_id, f"{self._cursor.journal}/{key}"):
                raise _ForeignRunError(f"{run_id} is not the run {key} of {self._folder}")
            self._checked.add(run_id)

    def _send_upload(self, sink: MlflowSink, upload: Upload) -> None:
        run_id = self._cursor.runs[upload.run]
        try:
            path = path_to_send(self._folder, upload.path)
        except DamagedFileError as error:
            warn(f"{error} It is not sent.")
            return
        match upload:
            case Artifact() if path.exists():
                sink.log_artifact(run_id, path, upload.artifact_path)
            case ModelVersion() if holds_model(path, upload.model_uuid):
                sink.register_model(run_id, path, upload)
            case _:
                logger.warning("%s of run %s no longer exists and is not sent.", path, upload.run)


def _destination_of(upload: Upload) -> tuple[str, ...]:
    """What an upload shares with its repetitions, of which the last is sent."""
    if isinstance(upload, Artifact):
        return upload.run, upload.path, upload.artifact_path
    return upload.run, upload.name, upload.model_uuid
