"""What the rest of mosim sees of tracking: a tracker an output folder, and the runs that it tracks."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat

from mosim.core.console import plain, warn
from mosim.core.errors import MosimError
from mosim.core.locks import FolderLock
from mosim.tracking.destination import OFF, absolute_uri, default_tracking_uri, sync_command, without_password
from mosim.tracking.events import (
    Artifact,
    Event,
    Metrics,
    ModelVersion,
    Parameters,
    RunFinished,
    RunStarted,
    RunStatus,
    Tags,
)
from mosim.tracking.journal import Journal, tracking_folder
from mosim.tracking.limits import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_TAG_LENGTH,
    fitting_model_name,
    fitting_name,
    flattened,
    reason,
    run_key,
    shortened,
)
from mosim.tracking.model_folder import read_model_folder
from mosim.tracking.replay import Replay, keep_destination
from mosim.tracking.sender import Sender
from mosim.tracking.uploads import path_to_keep

_CLOSE_SECONDS = 60.0
"""How long the end of the work waits for a server that is slow; one that fails is not waited for."""

_DESCRIPTION_TAG = "mlflow.note.content"


class Tracker:
    """Tracks the runs of an output folder. What they say is on disk at once, and sent to MLflow in the background.

    A tracker opened again on the same folder goes on with the same MLflow runs. Methods may be called from any thread
    of the process that opened it.

    Attributes:
      tracking_uri: where it is sent, without a password; "off" where nothing is kept or sent.
    """

    def __init__(self, journal: Journal | None, sender: Sender | None, folder: Path, tracking_uri: str) -> None:
        """Use `Tracker.open`."""
        self.tracking_uri = tracking_uri
        self._journal = journal
        self._sender = sender
        self._folder = folder
        self._open_runs: dict[str, TrackedRun] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, experiment: str, tracking_uri: str | None = None) -> "Tracker":
        """Begins to track an output folder, or goes on.

        Args:
          folder: the output folder; the journal goes into its `tracking` folder.
          experiment: MLflow's experiment.
          tracking_uri: MLflow's tracking URI; "off" to keep and send nothing; None for `default_tracking_uri()`.

        Raises:
          MosimError: another process tracks the same folder.
        """
        uri = default_tracking_uri() if tracking_uri is None else absolute_uri(tracking_uri)
        if uri == OFF:
            return cls(None, None, folder, OFF)
        folder = folder.absolute()
        lock = FolderLock(tracking_folder(folder), used=folder)
        try:
            journal = Journal(folder)
            replay = Replay(folder, uri, experiment)
            keep_destination(folder, uri, experiment)
        except BaseException:
            lock.release()
            raise
        shown = without_password(uri)
        return cls(journal, Sender(replay, folder, shown, at_end=lock.release), folder, shown)

    def run(
        self,
        name: str,
        parent: "TrackedRun | None" = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> "TrackedRun":
        """Begins a run, or goes on with the one of the same name under the same parent in this folder.

        Args:
          name: what MLflow shows; any text.
          parent: the run that it is a part of.
          tags: such as `environment_tags()`.
          description: a text that MLflow shows with the run.
        """
        key = run_key(name, None if parent is None else parent.key)
        described = {_DESCRIPTION_TAG: description} if description else {}
        fitting = _fitting_tags(described | dict(tags or {}))
        parent_key = None if parent is None else parent.key
        self.record(
            RunStarted(run=key, time=_now(), name=shortened(name, MAX_NAME_LENGTH), parent=parent_key, tags=fitting)
        )
        run = self._open_runs[key] = TrackedRun(self, key)
        return run

    def record(self, event: Event) -> None:
        """Keeps an event and has it sent; nothing once the tracker is off or closed."""
        with self._lock:
            if self._journal is None or self._sender is None:
                return
            if isinstance(event, Metrics):
                known = self._journal.knows
                values = {n: v for n, v in event.values.items() if not known(event.run, n, event.step, v)}
                event = event.model_copy(update={"values": values})
                if not values:
                    return
            if isinstance(event, RunFinished):
                self._open_runs.pop(event.run, None)
            self._journal.append(event)
        self._sender.notify()

    def stored_path(self, path: Path) -> str:
        """A path as the journal keeps it: inside the output folder, into which what lies elsewhere is copied."""
        return str(path) if self._journal is None else path_to_keep(self._folder, path)

    def close(self, timeout_seconds: float = _CLOSE_SECONDS, status: RunStatus = "FINISHED") -> None:
        """Ends the runs that are still open, sends what is left, and says so where that is not possible.

        Args:
          timeout_seconds: how long to wait for a server that is slow; one that fails is not waited for.
          status: what becomes of the runs that are still open.
        """
        if self._journal is None or self._sender is None:
            return
        for run in reversed(list(self._open_runs.values())):
            run.finish(status)
        with self._lock:
            self._journal.close()
            self._journal = None
        if unsent := self._sender.close(timeout_seconds):
            warn(
                f"{unsent} events could not be sent to the tracking server {self.tracking_uri}; they are kept in "
                f"{tracking_folder(self._folder)}. Send them with: {sync_command(self._folder, self.tracking_uri)}"
            )

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(status=_status_after(kind))


class TrackedRun:
    """One run. As a context manager it ends as the block does: finished, failed, or killed by Ctrl-C.

    Attributes:
      key: the run's name, after those of its parents, see `run_key`: `run/train`.
    """

    def __init__(self, tracker: Tracker, key: str) -> None:
        """Use `Tracker.run`."""
        self.key = key
        self._tracker = tracker

    def child(self, name: str, tags: Mapping[str, str] | None = None) -> "TrackedRun":
        """Begins a run that is a part of this one, or goes on with it."""
        return self._tracker.run(name, parent=self, tags=tags)

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        """Logs parameters; nested ones as `optimiser.learning_rate`. One logged before keeps its first value."""
        self._tracker.record(Parameters(run=self.key, time=_now(), values=flattened(values)))

    def log_metrics(self, values: Mapping[str, SupportsFloat], step: int) -> None:
        """Logs metrics at a step. MLflow keeps nan as nan, and infinity as the largest number it can.

        A point that an earlier process logged in this folder with the same value is not logged again, so that a resumed
        training, which repeats what it did after its last checkpoint, draws each point once.
        """
        floats = {fitting_name(name): float(value) for name, value in values.items()}
        self._tracker.record(Metrics(run=self.key, time=_now(), step=step, values=floats))

    def log_artifact(self, path: Path, artifact_path: str = "") -> None:
        """Logs a file or a folder: in the output folder as it is when it is sent, elsewhere as it is now.

        Args:
          path: where it lies; in the output folder it must stay there until it is sent.
          artifact_path: the folder among the run's artifacts to put it into.

        Raises:
          MosimError: there is no such file.
        """
        if not path.exists():
            raise MosimError(f"{path} cannot be logged as an artifact: it does not exist.")
        self._tracker.record(
            Artifact(run=self.key, time=_now(), path=self._tracker.stored_path(path), artifact_path=artifact_path)
        )

    def register_model(
        self, path: Path, name: str, tags: Mapping[str, object] | None = None, description: str = ""
    ) -> None:
        """Registers a model folder, such as `mosim.pyfunc.save_model` writes, as a version in MLflow's model registry.

        The same model said again, by a resumed run or another time, stays one version; another model is the next one.

        Args:
          path: the model folder; in the output folder it must stay there until it is sent.
          name: of the registered model, such as `mosim-reacher-easy`; what MLflow refuses in it is replaced.
          tags: of the version, such as its horizon errors, beside the folder's own metadata.
          description: a text that MLflow shows with the version.

        Raises:
          MosimError: it is no model folder.
        """
        model = read_model_folder(path)
        event = ModelVersion(
            run=self.key,
            time=_now(),
            path=self._tracker.stored_path(path),
            model_uuid=model.model_uuid,
            name=fitting_model_name(name),
            tags=_fitting_tags(model.metadata | dict(tags or {})),
            description=shortened(description, MAX_DESCRIPTION_LENGTH),
        )
        self._tracker.record(event)

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Sets tags; a later value replaces an earlier one."""
        self._tracker.record(Tags(run=self.key, time=_now(), values=_fitting_tags(values)))

    def describe(self, text: str) -> None:
        """Sets the text that MLflow shows with the run, in Markdown; a later one replaces an earlier one."""
        self.set_tags({_DESCRIPTION_TAG: text})

    def finish(self, status: RunStatus = "FINISHED", failure: str = "") -> None:
        """Ends the run.

        Args:
          status: what became of it.
          failure: why it failed, for its tag `failure`; one that an earlier end has left there goes.
        """
        said = shortened(plain(failure), MAX_TAG_LENGTH)
        self._tracker.record(RunFinished(run=self.key, time=_now(), status=status, failure=said))

    def __enter__(self) -> "TrackedRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = f"{type(error).__name__}: {reason(error)}" if isinstance(error, Exception) else ""
        self.finish(_status_after(kind), failure)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _status_after(kind: type[BaseException] | None) -> RunStatus:
    if kind is None:
        return "FINISHED"
    return "FAILED" if issubclass(kind, Exception) else "KILLED"


def _fitting_tags(values: Mapping[str, object]) -> dict[str, str]:
    return {fitting_name(name): shortened(str(value), MAX_TAG_LENGTH) for name, value in values.items()}
