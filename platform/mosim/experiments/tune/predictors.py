"""Predictors that trials share: trained by the trial that first needs one, taken over by the others."""

import time
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import ray

from mosim.core.storage import Folder

HEARTBEAT_SECONDS = 120.0
"""How long a trial that trains a predictor may be silent before another takes its place; a report takes seconds."""

_POLL_SECONDS = 1.0

_CHECKPOINT = "checkpoint.json"
"""The file of a checkpoint that is written last, since it holds the checksums of the others."""

Files = dict[str, bytes]
"""A checkpoint's files by name."""


class Answer(Enum):
    """What a trial is told that asks for a predictor."""

    READY = "ready"
    YOURS = "yours to train"
    WAIT = "another trial trains it"


class _Claim(NamedTuple):
    trial: str
    heard: float


class Registry:
    """A Ray actor that says who trains which predictor, and keeps those that are trained in the sweep's storage."""

    def __init__(self, location: str, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        """`location` is a folder's path or URI; predictors that it holds from an earlier time are ready at once."""
        self._location, self._heartbeat_seconds = location, heartbeat_seconds
        self._claims: dict[str, _Claim] = {}
        self._files: dict[str, Files] = {}

    def ask(self, key: str, trial: str) -> tuple[Answer, Files | None]:
        """Whether a predictor is ready, is now the trial's to train, or is being trained by another one."""
        if files := self._files.get(key) or self._stored(key):
            self._files[key] = files
            return Answer.READY, files
        claim = self._claims.get(key)
        if claim and claim.trial != trial and time.monotonic() - claim.heard < self._heartbeat_seconds:
            return Answer.WAIT, None
        self._claims[key] = _Claim(trial, time.monotonic())
        return Answer.YOURS, None

    def renew(self, trial: str) -> None:
        """A trial is still at work on what it has claimed."""
        now = time.monotonic()
        self._claims |= {key: _Claim(trial, now) for key, claim in self._claims.items() if claim.trial == trial}

    def give_up(self, trial: str) -> None:
        """A trial has ended: what it has claimed and not finished is another's to train."""
        self._claims = {key: claim for key, claim in self._claims.items() if claim.trial != trial}

    def publish(self, key: str, files: Files) -> None:
        """A predictor is trained; of two of one key the first stands."""
        self._claims.pop(key, None)
        if self._files.setdefault(key, files) is not files:
            return
        folder = Folder.at(f"{self._location}/{key}")
        for name in sorted(files, key=lambda name: name == _CHECKPOINT):
            folder.write(name, files[name])

    def _stored(self, key: str) -> Files | None:
        """A predictor of an earlier time; what was left unfinished has no `checkpoint.json`."""
        folder = Folder.at(f"{self._location}/{key}")
        return {name: folder.read(name) for name in folder.names()} if folder.holds(_CHECKPOINT) else None


class SharedPredictors:
    """A trial's end of the registry."""

    def __init__(self, registry: Any, trial: str) -> None:
        """`registry` is the actor's handle, and `trial` what it knows the trial by."""
        self._registry, self._trial = registry, trial

    def take(self, key: str, folder: Path) -> Path | None:
        """Waits until a predictor is there, and writes its checkpoint.

        Args:
          key: of `SimulatorPlan.predictor_key`.
          folder: to put the checkpoint into.

        Returns:
          The checkpoint's path; None where the predictor is now this trial's to train.
        """
        while True:
            answer, files = ray.get(self._registry.ask.remote(key, self._trial))
            if answer is Answer.YOURS:
                return None
            if files is not None:
                path = folder / key
                path.mkdir(parents=True)
                for name, content in files.items():
                    (path / name).write_bytes(content)
                return path
            time.sleep(_POLL_SECONDS)

    def claim(self, key: str) -> bool:
        """Whether a predictor is the trial's to train, for others too; does not wait."""
        return ray.get(self._registry.ask.remote(key, self._trial))[0] is Answer.YOURS

    def renew(self) -> None:
        """Says that the trial is still at work."""
        self._registry.renew.remote(self._trial)

    def publish(self, key: str, checkpoint: Path) -> None:
        """Hands a trained predictor to the others."""
        ray.get(self._registry.publish.remote(key, {file.name: file.read_bytes() for file in checkpoint.iterdir()}))
