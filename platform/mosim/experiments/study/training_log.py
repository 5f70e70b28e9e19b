"""What a training run has said so far, kept beside its checkpoints, so that a resumed run knows its whole cost."""

import json
from pathlib import Path
from typing import Any

from mosim.core.files import write_text
from mosim.training import Report, StageConfig


class TrainingLog:
    """A line of JSON for each report.

    Attributes:
      rows: a mapping a report, in order: stage, step, loss, validation, and the samples and the seconds since the last.
    """

    def __init__(self, path: Path, steps: int | None) -> None:
        """Goes on with the log at `path` after gradient step `steps`; later lines are of work that is done again.

        `steps` is None where there is no checkpoint to go on from.
        """
        self._path = path
        kept = path.read_text(encoding="utf-8").splitlines() if path.is_file() and steps is not None else []
        rows = filter(None, map(_row, kept))
        self.rows: list[dict[str, Any]] = [row for row in rows if steps is not None and row["step"] <= steps]
        write_text(path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def note(self, report: Report, stage: StageConfig) -> None:
        """Takes a report down; `stage` is the one it is of."""
        before = self.rows[-1]["step"] if self.rows else 0
        samples = (report.step - before) * stage.batch_size * stage.horizon
        stepping = samples / report.samples_per_second if report.samples_per_second else 0.0
        row = {
            "stage": report.name,
            "step": report.step,
            "loss": report.loss,
            "validation": report.validation,
            "samples": samples,
            "seconds": max(report.seconds - self.seconds, 0.0) if stage.solves else stepping,
        }
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    @property
    def steps(self) -> int:
        """Gradient steps so far."""
        return self.rows[-1]["step"] if self.rows else 0

    @property
    def samples(self) -> int:
        """Physics steps of training data seen so far, repetitions counted."""
        return sum(row["samples"] for row in self.rows)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the stages so far; reports, checkpoints and interruptions are not in it."""
        return sum(row["seconds"] for row in self.rows)


def _row(line: str) -> dict[str, Any] | None:
    """A line's mapping; None for one that a killed process left unfinished."""
    try:
        return json.loads(line)
    except ValueError:
        return None
